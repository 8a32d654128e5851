package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/provost-scim/provost/internal/seal"
)

func newSealer(t *testing.T, fill byte) *seal.Sealer {
	t.Helper()
	s, err := seal.New(bytes.Repeat([]byte{fill}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedValues(t *testing.T) {
	secret := []byte("correct horse")
	mine := newSealer(t, 1)
	sealed, err := mine.Seal(secret, "directory/a")
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	other := bytes.Clone(sealed)
	other[0] = 9
	tests := []struct {
		name    string
		sealer  *seal.Sealer
		sealed  []byte
		context string
		opens   bool
	}{
		{"open with the same key and context", mine, sealed, "directory/a", true},
		{"do not open with another key", newSealer(t, 2), sealed, "directory/a", false},
		{"do not open in another place", mine, sealed, "directory/b", false},
		{"do not open when one bit changed", mine, changed, "directory/a", false},
		{"do not open when they are of an unknown version", mine, other, "directory/a", false},
		{"do not open when they are cut off", mine, sealed[:20], "directory/a", false},
		{"do not open when they are empty", mine, nil, "directory/a", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.sealer.Open(tt.sealed, tt.context)
			if tt.opens && (err != nil || !bytes.Equal(got, secret)) {
				t.Fatalf("Open = %q, %v; want %q", got, err, secret)
			}
			if !tt.opens && !errors.Is(err, seal.ErrOpen) {
				t.Fatalf("Open = %q, %v; want ErrOpen", got, err)
			}
		})
	}
}

func TestTheSameSecretIsNeverSealedAlike(t *testing.T) {
	s := newSealer(t, 1)
	a, errA := s.Seal([]byte("x"), "c")
	b, errB := s.Seal([]byte("x"), "c")
	if errA != nil || errB != nil || bytes.Equal(a, b) {
		t.Fatalf("Seal twice = %x, %v and %x, %v", a, errA, b, errB)
	}
	if bytes.Contains(a, []byte("x\x00")) || len(a) != 1+12+1+16 {
		t.Errorf("a sealed byte takes %d bytes", len(a))
	}
}

func TestAKeyOfTheWrongSizeIsRefused(t *testing.T) {
	if _, err := seal.New(make([]byte, 16)); err == nil {
		t.Error("New accepted 16 bytes")
	}
	for _, text := range []string{"", "not base64!", base64.StdEncoding.EncodeToString(make([]byte, 31))} {
		if _, err := seal.ParseKey(text); err == nil {
			t.Errorf("ParseKey accepted %q", text)
		}
	}
}

func TestAKeyFileIsCreatedOnceAndReadableByItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "provost.key")
	var wg sync.WaitGroup
	keys := make([][]byte, 8)
	errs := make([]error, len(keys))
	for i := range keys {
		wg.Go(func() { keys[i], errs[i] = seal.LoadOrCreateKey(path) })
	}
	wg.Wait()
	for i := range keys {
		if errs[i] != nil || !bytes.Equal(keys[i], keys[0]) || len(keys[i]) != seal.KeySize {
			t.Fatalf("process %d got %x, %v; process 0 got %x", i, keys[i], errs[i], keys[0])
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the key file has mode %o", mode)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v; want the key alone", left, err)
	}
}

func TestADamagedKeyFileIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "provost.key")
	if err := os.WriteFile(path, []byte("half a k"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadOrCreateKey(path); err == nil {
		t.Fatal("a damaged key was accepted")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "half a k" {
		t.Errorf("the file is now %q, %v", b, err)
	}
}
