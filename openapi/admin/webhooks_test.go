package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

func TestAWebhookIsCreatedChangedAndDeletedAndItsSecretShownOnce(t *testing.T) {
	w := newWorld(t)
	made := ask[openapi.NewWebhook](w, w.admin, "POST", "/webhooks", map[string]any{"name": "App", "url": "https://app.test/hooks?key=abc", "types": []string{"user.*"}}, 201)
	end := ask[openapi.EventList](w, w.auditor, "GET", "/events?limit=1000", nil, 200).LastCursor
	if !strings.HasPrefix(made.Secret, "whsec_") || !made.Webhook.Enabled || made.Webhook.Cursor != end-1 {
		t.Errorf("made %+v, and the log ends at %d", made, end)
	}
	for _, path := range []string{"/webhooks", "/webhooks/app", "/events?limit=1000"} {
		a := w.call(w.auditor, "GET", path, nil)
		if strings.Contains(string(a.body), strings.TrimPrefix(made.Secret, "whsec_")) || strings.Contains(w.log.String(), made.Secret) {
			t.Errorf("%s shows the secret: %s", path, a.body)
		}
	}
	if data := string(w.lastEvent(store.EventWebhookCreated).Data); strings.Contains(data, "abc") || !strings.Contains(data, "app.test/hooks") {
		t.Errorf("the log shows the query of the URL: %s", data)
	}
	patched := ask[openapi.Webhook](w, w.admin, "PATCH", "/webhooks/app", map[string]any{"types": []string{}, "enabled": false}, 200)
	if len(patched.Types) != 0 || patched.Enabled || patched.DisabledReason == "" || patched.DisabledAt == nil {
		t.Errorf("changed to %+v", patched)
	}
	var change struct{ Before, After struct{ Enabled bool } }
	if e := w.lastEvent(store.EventWebhookUpdated); json.Unmarshal(e.Data, &change) != nil || !change.Before.Enabled || change.After.Enabled || e.Cause.Actor.Name != "admin" {
		t.Errorf("the event is %+v", e)
	}
	moved := ask[openapi.Webhook](w, w.admin, "PATCH", "/webhooks/app", map[string]any{"enabled": true, "after": 0}, 200)
	if !moved.Enabled || moved.Cursor != 0 {
		t.Errorf("moved to %+v", moved)
	}
	rotated := ask[openapi.NewWebhook](w, w.admin, "POST", "/webhooks/app/rotate", map[string]any{"overlap_hours": 2}, 200)
	if rotated.Secret == made.Secret || rotated.Webhook.OldSecretUntil == nil || time.Until(*rotated.Webhook.OldSecretUntil) > 2*time.Hour {
		t.Errorf("rotated %+v", rotated)
	}
	at := ask[openapi.NewWebhook](w, w.admin, "POST", "/webhooks/app/rotate", map[string]any{"overlap_hours": 0}, 200)
	if at.Webhook.OldSecretUntil != nil {
		t.Errorf("without overlap the old secret is good until %s", at.Webhook.OldSecretUntil)
	}
	if a := w.call(w.admin, "DELETE", "/webhooks/app", nil); a.status != 204 {
		t.Errorf("deleting answers %d %s", a.status, a.body)
	}
	w.refused(w.auditor, "GET", "/webhooks/app", nil, 404, store.CodeNotFound, "")
	for i := range 50 {
		ask[openapi.NewWebhook](w, w.admin, "POST", "/webhooks", map[string]any{"name": fmt.Sprint("w", i), "url": "https://app.test/"}, 201)
	}
	w.refused(w.admin, "POST", "/webhooks", map[string]any{"name": "too many", "url": "https://app.test/"}, 409, store.CodeConflict, "")
}

func TestAWebhookThatCouldNotWorkIsRefused(t *testing.T) {
	w := newWorld(t)
	ask[openapi.NewWebhook](w, w.admin, "POST", "/webhooks", map[string]any{"name": "app", "url": "https://app.test/"}, 201)
	for _, tt := range []struct {
		body  map[string]any
		field string
	}{
		{map[string]any{"name": "x", "url": "https://169.254.169.254/"}, "url"},
		{map[string]any{"name": "x", "url": "ftp://app.test/"}, "url"},
		{map[string]any{"name": "x", "url": "https://app.test/", "types": []string{"user.created", "nothing.*"}}, "types.1"},
		{map[string]any{"name": "x", "url": "https://app.test/", "types": []string{"*"}}, "types.0"},
		{map[string]any{"name": "", "url": "https://app.test/"}, "name"},
		{map[string]any{"name": "x", "url": "https://app.test/", "secret": "mine"}, "secret"},
	} {
		w.refused(w.admin, "POST", "/webhooks", tt.body, 400, store.CodeInvalid, tt.field)
	}
	w.refused(w.admin, "POST", "/webhooks", map[string]any{"name": "x", "url": "https://app.test/", "after": 999}, 410, store.CodeGone, "after")
	w.refused(w.admin, "PATCH", "/webhooks/app", map[string]any{"url": "http://127.1.1.1@app.test/"}, 400, store.CodeInvalid, "url")
	w.refused(w.admin, "POST", "/webhooks/app/rotate", map[string]any{"overlap_hours": 169}, 400, store.CodeInvalid, "overlap_hours")
	w.refused(w.admin, "POST", "/webhooks/app/deliveries/nope/redeliver", nil, 404, store.CodeNotFound, "")
}

func TestATestMessageSaysWhatTheEndpointAnswered(t *testing.T) {
	w := newWorld(t)
	var verify func(body []byte, header http.Header) error
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verify(body, r.Header)
		}
		if err != nil || !strings.Contains(string(body), `"type":"webhook.test"`) {
			t.Errorf("%v of %s", err, body)
		}
		rw.WriteHeader(status)
		fmt.Fprint(rw, "hello")
	}))
	defer s.Close()
	made := ask[openapi.NewWebhook](w, w.admin, "POST", "/webhooks", map[string]any{"name": "app", "url": s.URL}, 201)
	v, err := standardwebhooks.NewWebhook(made.Secret)
	if err != nil {
		t.Fatal(err)
	}
	verify = v.Verify
	if a := ask[openapi.DeliveryAttempt](w, w.admin, "POST", "/webhooks/app/test", nil, 200); !a.Delivered || a.Status != 200 || a.Response != "hello" {
		t.Errorf("the attempt is %+v", a)
	}
	status = http.StatusTeapot
	if a := ask[openapi.DeliveryAttempt](w, w.admin, "POST", "/webhooks/app/test", nil, 200); a.Delivered || a.Status != 418 || a.Error == "" {
		t.Errorf("the attempt is %+v", a)
	}
}
