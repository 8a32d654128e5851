package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// scimClient is a SCIM client that keeps its connections.
type scimClient struct {
	b     testing.TB
	base  string
	token string
	http  *http.Client
}

func (p *provost) client(token string) *scimClient {
	return &scimClient{b: p.b, base: p.url + "/scim/v2", token: token, http: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
		Timeout:   answerTimeout,
	}}
}

// send sends a request and returns the body of the answer, which must have one of
// the statuses.
func (c *scimClient) send(method, path, body string, statuses ...int) ([]byte, error) {
	request, err := http.NewRequestWithContext(c.b.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/scim+json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer bytes.Buffer
	if _, err := io.Copy(&answer, response.Body); err != nil {
		return nil, err
	}
	if slices.Contains(statuses, response.StatusCode) {
		return answer.Bytes(), nil
	}
	return nil, fmt.Errorf("%s %s: %s\n%s", method, path, response.Status, answer.Bytes())
}

// create creates a resource and returns its id.
func (c *scimClient) create(path, body string) (string, error) {
	answer, err := c.send(http.MethodPost, path, body, http.StatusCreated)
	if err != nil {
		return "", err
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &made); err != nil || made.ID == "" {
		return "", fmt.Errorf("POST %s answered without an id: %w", path, err)
	}
	return made.ID, nil
}

// findUser looks a user up by userName, which has no escapes in JSON, and fails unless
// it is the only one. The answer is searched and not decoded: what the client spends
// counts against Provost.
func (c *scimClient) findUser(userName string) error {
	query := url.Values{"filter": {fmt.Sprintf("userName eq %q", userName)}}
	answer, err := c.send(http.MethodGet, "/Users?"+query.Encode(), "", http.StatusOK)
	if err != nil {
		return err
	}
	if !bytes.Contains(answer, []byte(`"totalResults":1,`)) || !bytes.Contains(answer, []byte(`"userName":"`+userName+`"`)) {
		return fmt.Errorf("%s did not find that one user: %s", query.Get("filter"), answer)
	}
	return nil
}

// patchMembers adds or removes members as Entra does; op is Add or Remove.
func (c *scimClient) patchMembers(group, op string, users ...string) error {
	type member struct {
		Ref   *string `json:"$ref"`
		Value string  `json:"value"`
	}
	members := make([]member, len(users))
	for i, user := range users {
		members[i].Value = user
	}
	value, err := json.Marshal(members)
	if err != nil {
		return err
	}
	body := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"` + op + `","path":"members","value":` + string(value) + `}]}`
	_, err = c.send(http.MethodPatch, "/Groups/"+group, body, http.StatusOK, http.StatusNoContent)
	return err
}

// userBody is a user as Entra creates one.
func userBody(name string) string {
	return `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],` +
		`"externalId":"` + name + `","userName":"` + name + `@bench.test","active":true,"displayName":"Ada Example",` +
		`"name":{"formatted":"Ada Example","familyName":"Example","givenName":"Ada"},` +
		`"emails":[{"primary":true,"type":"work","value":"` + name + `@bench.test"}],"title":"Engineer","meta":{"resourceType":"User"},"roles":[],` +
		`"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Research","employeeNumber":"4711"}}`
}
