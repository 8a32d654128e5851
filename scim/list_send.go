package scim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

// A page always holds as many resources as were asked for, because clients go on at
// startIndex + count whatever they got. So that 1,000 groups of 10,000 members take the
// memory of a few of them, members are read group by group while the list is sent.
const (
	listMembers = 20_000  // members that are read together, but for those of one group
	listBuffer  = 1 << 20 // bytes that are kept back
)

// listed is a page with what its resources refer to.
type listed struct {
	store.Page[store.Resource]
	nested  map[store.Key]int            // how many groups are in a group
	members map[store.Key][]store.Member // of the groups before next
	next    int                          // the first item whose members were not read
}

// countNested counts the groups in each group, of which there may be many where there
// are no users.
func (l *listed) countNested(c *call, r store.Reader) (err error) {
	var groups []store.Key
	for _, item := range l.Items {
		if item.Group != nil {
			groups = append(groups, item.Group.Key)
		}
	}
	if len(groups) > 1 {
		l.nested, err = r.NestedCounts(c.ctx(), c.caller.Org, groups)
	}
	return err
}

// readMembers reads the members of the groups from the item at on, as many as belong
// together. A group states no more live users than it has effective ones.
func (l *listed) readMembers(c *call, r store.Reader, at int) (err error) {
	var groups []store.Key
	members := 0
	for l.next = at; l.next < len(l.Items); l.next++ {
		g := l.Items[l.next].Group
		if g == nil {
			continue
		}
		if members += g.EffectiveCount + l.nested[g.Key]; members > listMembers && len(groups) > 0 {
			break
		}
		groups = append(groups, g.Key)
	}
	l.members = nil
	if len(groups) > 0 {
		l.members, err = r.MembersOf(c.ctx(), c.caller.Org, groups)
	}
	return err
}

// send answers with a list. Once a part of it is on its way, an error ends the
// connection: a list that is cut short must not look whole.
func (s *Server) send(c *call, head listResponse, read listed, p projections) error {
	w, err := newListWriter(c, head)
	if err != nil {
		return err
	}
	for i, item := range read.Items {
		if item.Group != nil && i >= read.next && p.wants(schema.Groups, "members") {
			err = s.Store.View(c.ctx(), func(r store.Reader) error { return read.readMembers(c, r, i) })
		}
		var resource []byte
		if err == nil {
			resource, err = c.render(item, read, p)
		}
		if err == nil {
			err = w.add(resource)
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = w.finish()
	}
	if err != nil && c.Response().Committed {
		if !errors.Is(err, context.Canceled) {
			s.Logger.WarnContext(c.ctx(), "a scim list was cut short", "path", c.Path(), "request", c.cause.Request, "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	return err
}

// listWriter writes a list resource by resource. What fits its buffer is answered as a
// whole, with its length.
type listWriter struct {
	c      *call
	buffer bytes.Buffer
	begun  bool // a resource was added
}

// newListWriter begins a list with all but its resources.
func newListWriter(c *call, head listResponse) (*listWriter, error) {
	b, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	w := &listWriter{c: c}
	w.buffer.Write(bytes.TrimSuffix(b, []byte("]}"))) // Resources come last
	return w, nil
}

func (w *listWriter) add(resource []byte) error {
	if w.begun {
		w.buffer.WriteByte(',')
	}
	w.begun = true
	w.buffer.Write(resource)
	if w.buffer.Len() < listBuffer {
		return nil
	}
	return w.flush()
}

func (w *listWriter) flush() error {
	r := w.c.Response()
	if !r.Committed {
		r.Header().Set(echo.HeaderContentType, contentType)
		r.WriteHeader(http.StatusOK)
	}
	_, err := w.buffer.WriteTo(r)
	return err
}

func (w *listWriter) finish() error {
	w.buffer.WriteString("]}")
	if w.c.Response().Committed {
		return w.flush()
	}
	return w.c.Blob(http.StatusOK, contentType, w.buffer.Bytes())
}
