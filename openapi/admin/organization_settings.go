package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// UpdateOrganization changes what is given. A change that changes nothing writes
// nothing.
func (s *Server) UpdateOrganization(ctx context.Context, req openapi.UpdateOrganizationRequestObject) (openapi.UpdateOrganizationResponseObject, error) {
	found, err := s.organization(ctx, req.Organization)
	if err != nil {
		return nil, err
	}
	var out openapi.Organization
	var revision int64
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		o, err := tx.OrganizationByKey(ctx, found.Key)
		if err != nil {
			return err
		}
		if err := matches(req.Params.IfMatch, o.Revision); err != nil {
			return err
		}
		before := o.Settings
		o.Settings.NotifyEmails = slices.Clone(before.NotifyEmails)
		if req.Body.Settings != nil {
			if err := s.editOrganization(&o.Settings, req.Body.Settings); err != nil {
				return err
			}
		}
		if !reflect.DeepEqual(before, o.Settings) {
			if err := tx.UpdateOrganization(ctx, o); err != nil {
				return err
			}
			err := s.log(ctx, tx, change{
				org: o.Key, typ: store.EventOrgUpdated, kind: "Organization", id: o.ID,
				before: map[string]any{"settings": before}, after: map[string]any{"settings": o.Settings},
			})
			if err != nil {
				return err
			}
		}
		revision = o.Revision
		out, err = s.renderOrganization(ctx, tx, o)
		return err
	})
	if err != nil {
		return nil, raced(req.Params.IfMatch, err)
	}
	return openapi.UpdateOrganization200JSONResponse{
		Body: out, Headers: openapi.UpdateOrganization200ResponseHeaders{ETag: entityTag(revision, &out)},
	}, nil
}

// editOrganization puts the settings that are given over those that are, which have the
// same names in JSON, and checks the whole.
func (s *Server) editOrganization(settings *store.OrganizationSettings, in *openapi.OrganizationSettings) error {
	text, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	if err := json.Unmarshal(text, settings); err != nil {
		return fmt.Errorf("merge the settings: %w", err)
	}
	var emails []string
	seen := map[string]bool{}
	for _, given := range settings.NotifyEmails {
		email, ok := store.MailAddress(given)
		if !ok {
			return invalid("settings.notify_emails", "such as it@example.com", "settings.notify_emails: %q is no address that can be written to", given)
		}
		if !seen[store.Fold(email)] {
			emails = append(emails, email)
		}
		seen[store.Fold(email)] = true
	}
	settings.NotifyEmails = emails
	if v := settings.SignInURL; v != "" {
		u, err := url.Parse(v)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return invalid("settings.sign_in_url", "such as https://login.example.com", "settings.sign_in_url must be an http or https URL")
		}
	}
	return s.CheckWelcome(settings.WelcomeSubject, settings.WelcomeText)
}

func renderOrganizationSettings(settings *store.OrganizationSettings) openapi.OrganizationSettings {
	var out openapi.OrganizationSettings
	text, err := json.Marshal(settings)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err) // both are plain structs with the same names
	}
	return out
}

const noMailServer = "this server has no mail server: start it with --smtp-url and --mail-from; mails wait for one for 3 days, then they are given up"

// directoryWarnings are what of a directory's settings has no effect.
func (s *Server) directoryWarnings(settings *store.Settings) *openapi.Warnings {
	if !settings.EmailNewUsers || s.MailServer {
		return nil
	}
	return &openapi.Warnings{"email_new_users is on, and " + noMailServer}
}

// organizationWarnings are what of an organization's settings has no effect.
func (s *Server) organizationWarnings(settings *store.OrganizationSettings) *openapi.Warnings {
	if len(settings.NotifyEmails) == 0 || s.MailServer {
		return nil
	}
	return &openapi.Warnings{"notify_emails are to be told of held runs, and " + noMailServer}
}
