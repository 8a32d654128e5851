package scim

import "github.com/provost-scim/provost/scim/dialect"

// search serves a search by POST (RFC 7644 section 3.4.3): the list that a query
// string of the same words asks for, for clients whose filters are secret or long.
func search(list handler) handler {
	return func(c *call) error {
		body, err := c.body()
		if err != nil {
			return err
		}
		asked, err := dialect.Search(body)
		if err != nil {
			return err
		}
		c.params = asked
		return list(c)
	}
}
