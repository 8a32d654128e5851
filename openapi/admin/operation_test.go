package admin

import (
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

func TestAnOperationWithoutARuleKeepsTheServerFromStarting(t *testing.T) {
	for _, rule := range []any{nil, "everybody", 7} {
		doc, err := openapi.GetSpec()
		if err != nil {
			t.Fatal(err)
		}
		doc.Paths.Value("/users").Get.Extensions[ruleExtension] = rule
		if _, err := operationsOf(doc); err == nil || !strings.Contains(err.Error(), "listUsers") {
			t.Errorf("with the rule %v: %v", rule, err)
		}
	}
	nobody := auth.Principal{Role: store.RoleOwner}
	if err := nobody.May("everybody"); store.CodeOf(err) != store.CodeForbidden {
		t.Errorf("an owner of the instance and a rule that is none: %v", err)
	}
}
