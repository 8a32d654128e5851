package testenv_test

import (
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
