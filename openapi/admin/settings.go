package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// edit puts what is given into a directory and checks the whole.
func (s *Server) edit(ctx context.Context, r store.Reader, d *store.Directory, in *openapi.DirectoryPatch) error {
	if in.Name != nil {
		name, err := checkName(*in.Name)
		if err != nil {
			return err
		}
		if store.Fold(name) == internalOwner {
			return invalid("name", "", "name must not be %q, which is what records without a directory are called", internalOwner)
		}
		d.Name = name
	}
	if d.Kind != store.DirectoryLDAP && (in.BindPassword != nil || (in.Settings != nil && in.Settings.Ldap != nil)) {
		return invalid("settings.ldap", "", "a directory of kind %s is not read by LDAP", d.Kind)
	}
	if d.Kind != store.DirectorySCIM && in.Settings != nil && in.Settings.RateLimit != nil {
		return invalid("settings.rate_limit", "", "a directory of kind %s has no clients to limit", d.Kind)
	}
	if in.Settings != nil {
		if err := merge(&d.Settings, in.Settings); err != nil {
			return err
		}
		if err := s.checkSettings(ctx, r, d); err != nil {
			return err
		}
	}
	if d.Kind != store.DirectoryLDAP {
		return nil
	}
	secret, err := s.secret(d, in.BindPassword)
	if err != nil {
		return err
	}
	return s.checkLDAP(ctx, d.Settings.LDAP, secret)
}

// merge puts the settings that are given over those that are; both have the same
// names in JSON. A list or a map that is given replaces the old one.
func merge(settings *store.Settings, in *openapi.DirectorySettings) error {
	if in.Ldap != nil && in.Ldap.Attributes != nil && settings.LDAP != nil {
		settings.LDAP.Attributes = nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	if err := json.Unmarshal(text, settings); err != nil {
		return fmt.Errorf("merge the settings: %w", err)
	}
	return nil
}

func renderSettings(settings *store.Settings) openapi.DirectorySettings {
	var out openapi.DirectorySettings
	text, err := json.Marshal(settings)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err) // both are plain structs with the same names
	}
	return out
}

// secret seals a new bind password and returns the one that is in force.
func (s *Server) secret(d *store.Directory, given *string) (string, error) {
	if given != nil {
		d.Secret = nil
		if *given == "" {
			return "", nil
		}
		sealed, err := s.Seal([]byte(*given), d.ID)
		if err != nil {
			return "", fmt.Errorf("seal the bind password: %w", err)
		}
		d.Secret = sealed
		return *given, nil
	}
	if len(d.Secret) == 0 {
		return "", nil
	}
	plain, err := s.Open(d.Secret, d.ID)
	if err != nil {
		return "", &store.Error{Code: store.CodeConflict, Field: "bind_password", Err: err,
			Message: "the stored bind password cannot be decrypted with the server's key", Hint: "give bind_password again"}
	}
	return string(plain), nil
}

// leastRate is the least limit of requests a second, one in 100 s: with a lesser one a
// client would never know when to come again.
const leastRate = 0.01

// checkSettings checks what the specification cannot say.
func (s *Server) checkSettings(ctx context.Context, r store.Reader, d *store.Directory) error {
	v := &d.Settings
	for i, t := range v.External.UserTypes {
		if strings.TrimSpace(t) == "" {
			return invalid("settings.external.user_types", "", "settings.external.user_types has a blank entry")
		}
		v.External.UserTypes[i] = strings.TrimSpace(t)
	}
	if v.RateLimit.PerSecond > 0 && v.RateLimit.PerSecond < leastRate {
		return invalid("settings.rate_limit.per_second", "0 is no limit", "settings.rate_limit.per_second must be at least %g", leastRate)
	}
	if err := s.checkDomains(ctx, r, d); err != nil {
		return err
	}
	if err := checkRoles(ctx, r, d); err != nil {
		return err
	}
	if v.LDAP != nil {
		return checkSchedule(&v.LDAP.Schedule)
	}
	return nil
}

// checkDomains holds the selected domains against those that are verified.
func (s *Server) checkDomains(ctx context.Context, r store.Reader, d *store.Directory) error {
	v := &d.Settings
	if v.DomainPolicy != store.DomainsSelected {
		return nil
	}
	const field = "settings.domains"
	if len(v.Domains) == 0 {
		return invalid(field, "name verified domains of the organization, or use domain_policy verified", "settings.domains must name at least one domain")
	}
	all, err := r.Domains(ctx, d.Org)
	if err != nil {
		return err
	}
	verified := map[string]bool{}
	for i := range all {
		verified[all[i].Name] = all[i].State == store.DomainVerified
	}
	for i, name := range v.Domains {
		normal, err := s.NormalizeDomain(name)
		if err != nil {
			return invalid(field, "such as example.com", "settings.domains: %q is no domain", name)
		}
		if !verified[normal] {
			return invalid(field, "claim it with: provost domain add "+normal, "settings.domains: %s is no verified domain of the organization", normal)
		}
		v.Domains[i] = normal
	}
	return nil
}

// checkRoles holds the default roles against those that exist, and writes their names
// as the roles do.
func checkRoles(ctx context.Context, r store.Reader, d *store.Directory) error {
	v := &d.Settings
	if len(v.DefaultRoles) == 0 {
		v.DefaultRoles = nil
		return nil
	}
	found, err := r.Roles(ctx, d.Org, v.DefaultRoles)
	if err != nil {
		return err
	}
	names := make(map[string]string, len(found))
	for i := range found {
		names[store.Fold(found[i].Name)] = found[i].Name
	}
	roles := make([]string, 0, len(v.DefaultRoles))
	for _, given := range v.DefaultRoles {
		name, known := names[store.Fold(given)]
		if !known {
			return invalid("settings.default_roles", "create it with: provost role create NAME", "settings.default_roles: %q is no role of the organization", given)
		}
		if !slices.Contains(roles, name) {
			roles = append(roles, name)
		}
	}
	v.DefaultRoles = roles
	return nil
}

// checkSchedule fills in what a daily schedule leaves open.
func checkSchedule(v *store.Schedule) error {
	const field = "settings.ldap.schedule"
	switch v.Kind {
	case "off":
	case "interval":
		if v.IntervalMins < 1 {
			return invalid(field+".interval_minutes", "", "an interval needs interval_minutes of at least 1")
		}
	case "daily":
		if _, err := time.Parse("15:04", v.At); err != nil {
			return invalid(field+".at", "such as 02:30", "a daily schedule needs the time of day")
		}
		if v.EveryDays == 0 {
			v.EveryDays = 1
		}
		if v.Zone == "" {
			v.Zone = "UTC"
		}
		if _, err := time.LoadLocation(v.Zone); err != nil || v.Zone == "Local" {
			return invalid(field+".zone", "such as Europe/Zurich", "%q is no time zone", v.Zone)
		}
	default:
		return invalid(field+".kind", "", "the schedule must be off, interval or daily")
	}
	return nil
}

// checkLDAP asks the reader of LDAP servers, and names the field as it is here.
func (s *Server) checkLDAP(ctx context.Context, v *store.LDAP, secret string) error {
	err := s.CheckLDAP(ctx, *v, secret)
	var e *store.Error
	if errors.As(err, &e) && e.Field != "" && e.Field != "bind_password" {
		named := *e
		named.Field = "settings.ldap." + e.Field
		return &named
	}
	return err
}
