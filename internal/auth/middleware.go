package auth

import (
	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/store"
)

// Challenge is the WWW-Authenticate header of an answer 401 (RFC 6750 section 3).
const Challenge = `Bearer realm="provost"`

// AdminOnly lets requests with an administrator's token through, with the
// [Principal] in their context. Another request's error is returned to echo, with
// the challenge set if it is unauthorized.
func (a *Authenticator) AdminOnly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		p, err := a.Admin(r.Context(), r.Header.Get(echo.HeaderAuthorization))
		if err != nil {
			if store.CodeOf(err) == store.CodeUnauthorized {
				challenge := Challenge
				if r.Header.Get(echo.HeaderAuthorization) != "" {
					challenge += `, error="invalid_token"` // RFC 6750 section 3.1
				}
				c.Response().Header().Set(echo.HeaderWWWAuthenticate, challenge)
			}
			return err
		}
		c.SetRequest(r.WithContext(WithPrincipal(r.Context(), p)))
		return next(c)
	}
}
