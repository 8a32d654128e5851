package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/provost-scim/provost/internal/seal"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/ldap"
	"github.com/provost-scim/provost/sync/run"
)

// openDirectory makes the source that a run reads a directory of kind ldap with.
func (p *program) openDirectory(_ context.Context, d *store.Directory) (run.Source, error) {
	if d.Settings.LDAP == nil {
		return nil, store.Errorf(store.CodeInvalid, "directory %s has no LDAP settings", d.Name)
	}
	password := ""
	if len(d.Secret) > 0 {
		plain, err := p.openPassword(d.Secret, d.ID)
		if err != nil {
			return nil, fmt.Errorf("read the bind password of directory %s: %w", d.Name, err)
		}
		password = string(plain)
	}
	source, err := ldap.New(*d.Settings.LDAP, password, ldap.Options{})
	if err != nil {
		return nil, err
	}
	return ldapSource{source}, nil
}

// ldapSource is an [ldap.Source] as a run reads it: each package has its own name
// for the end of a complete read.
type ldapSource struct{ *ldap.Source }

// Entries reads the directory.
func (s ldapSource) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		for entry, err := range s.Source.Entries(ctx) {
			if errors.Is(err, ldap.Complete) {
				err = run.Complete
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}

// Follow asks what has changed.
func (s ldapSource) Follow(ctx context.Context, since []byte, limit int) (run.Following, string, error) {
	following, why, err := s.Source.Follow(ctx, since, limit)
	if following == nil {
		return nil, why, err
	}
	return following, why, err
}

// Ask asks for single entries.
func (s ldapSource) Ask(ctx context.Context) (run.Asking, string, error) {
	asking, why, err := s.Source.Ask(ctx)
	if asking == nil {
		return nil, why, err
	}
	return asking, why, err
}

// checkLDAP refuses settings that could never work, without connecting.
func checkLDAP(_ context.Context, settings store.LDAP, secret string) error {
	_, err := ldap.New(settings, secret, ldap.Options{})
	return err
}

func (p *program) sealPassword(plain []byte, directory store.ID) ([]byte, error) {
	return p.sealer.Seal(plain, seal.BindPassword(string(directory)))
}

func (p *program) openPassword(sealed []byte, directory store.ID) ([]byte, error) {
	return p.sealer.Open(sealed, seal.BindPassword(string(directory)))
}
