package admin_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/openapi/admin"
	"github.com/provost-scim/provost/store"
)

func TestSettingsOfAnOrganizationAreCheckedKeptAndLogged(t *testing.T) {
	w := newWorld(t)
	const path = "/organizations/default"
	got := ask[openapi.Organization](w, w.admin, "PATCH", path, `{"settings":{
		"notify_emails":["it@corp.test","IT@corp.test","ann@bücher.test"],"welcome_subject":"Hi {{.Name}}","sign_in_url":"https://corp.test/in"}}`, 200)
	emails, subject, url := []string{"it@corp.test", "ann@xn--bcher-kva.test"}, "Hi {{.Name}}", "https://corp.test/in"
	want := openapi.OrganizationSettings{NotifyEmails: &emails, WelcomeSubject: &subject, SignInURL: &url}
	if diff := cmp.Diff(want, got.Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	for field, body := range map[string]string{
		"settings.notify_emails":   `{"settings":{"notify_emails":["it@corp.test","it@corp.test\r\nBcc: all@corp.test"]}}`,
		"settings.welcome_subject": `{"settings":{"welcome_subject":"Hi {{.Password}}"}}`,
		"settings.welcome_text":    `{"settings":{"welcome_text":"{{range 1000000}}x{{end}}"}}`,
		"settings.sign_in_url":     `{"settings":{"sign_in_url":"javascript:alert(1)"}}`,
	} {
		w.refused(w.admin, "PATCH", path, body, 400, store.CodeInvalid, field)
	}
	// Clearing one leaves the others, and what changes nothing writes nothing.
	got = ask[openapi.Organization](w, w.admin, "PATCH", path, `{"settings":{"notify_emails":[],"welcome_subject":""}}`, 200)
	ask[openapi.Organization](w, w.admin, "PATCH", path, `{"settings":{"notify_emails":[],"sign_in_url":"https://corp.test/in"}}`, 200)
	if diff := cmp.Diff(openapi.OrganizationSettings{SignInURL: &url}, got.Settings); diff != "" {
		t.Errorf("settings that are left (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got.Settings, ask[openapi.Organization](w, w.auditor, "GET", path, nil, 200).Settings); diff != "" {
		t.Errorf("settings that are kept (-want +got):\n%s", diff)
	}
	changes := 0
	for _, e := range ask[openapi.EventList](w, w.auditor, "GET", "/events?limit=1000", nil, 200).Items {
		if e.Type == store.EventOrgUpdated {
			changes++
		}
	}
	if changes != 2 {
		t.Errorf("%d changes are in the log, want 2", changes)
	}
	w.refused(w.stranger, "PATCH", path, `{"settings":{}}`, 403, store.CodeForbidden, "")
}

func TestSettingsThatNeedAMailServerAreSavedWithAWarning(t *testing.T) {
	w := newWorld(t, func(o *admin.Options) { o.MailServer = false })
	d := ask[openapi.Directory](w, w.admin, "POST", "/directories", `{"name":"mailed","kind":"scim","settings":{"email_new_users":true}}`, 201)
	o := ask[openapi.Organization](w, w.admin, "PATCH", "/organizations/default", `{"settings":{"notify_emails":["it@corp.test"]}}`, 200)
	for _, warnings := range []*openapi.Warnings{d.Warnings, o.Warnings} {
		if warnings == nil || len(*warnings) != 1 || !strings.Contains((*warnings)[0], "--smtp-url") {
			t.Errorf("warnings are %v", warnings)
		}
	}
	if d := ask[openapi.Directory](w, w.admin, "PATCH", "/directories/mailed", `{"settings":{"email_new_users":false}}`, 200); d.Warnings != nil {
		t.Errorf("warnings when it is off: %v", *d.Warnings)
	}
}
