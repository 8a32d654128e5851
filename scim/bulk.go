package scim

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/provost-scim/provost/scim/dialect"
	"github.com/provost-scim/provost/store"
)

// MaxOperations is the most operations of a Bulk.
const MaxOperations = 10_000

const bulkResponseSchema = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"

// spare is how much of a request's time is kept to answer in. Operations that are not
// begun by then are 503.
const spare = 5 * time.Second

// internalErrors is after how many internal errors a Bulk gives up.
const internalErrors = 10

// bulkResponse is RFC 7644 section 3.7.
type bulkResponse struct {
	Schemas    []string     `json:"schemas"`
	Operations []bulkResult `json:"Operations"`
}

// bulkResult is what became of one operation. Status is a string there.
type bulkResult struct {
	Location string     `json:"location,omitempty"`
	Method   string     `json:"method"`
	BulkID   string     `json:"bulkId,omitempty"`
	Version  string     `json:"version,omitempty"`
	Status   string     `json:"status"`
	Response *errorBody `json:"response,omitempty"`
}

// bulk is POST /Bulk (RFC 7644 section 3.7). Operations are carried out in their
// order, but for the creation of what others refer to, which goes before them. Each
// is done whole or not at all and ends as it would alone; those that are independent
// of one another share a transaction.
func (s *Server) bulk(c *call) error {
	c.cause.Reason = "SCIM Bulk"
	body, err := c.open()
	if err != nil {
		return err
	}
	request, err := dialect.Bulk(body, MaxOperations)
	if errors.Is(err, dialect.ErrTooManyOperations) {
		return store.Errorf(store.CodeTooLarge, "the Bulk has more than %d operations (maxOperations)", MaxOperations)
	}
	if err != nil {
		return bodyError(err)
	}
	b, err := newBulk(s, c, request)
	if err != nil {
		return err
	}
	b.carryOut()
	return respond(c, http.StatusOK, b.response())
}

// bulk is one Bulk on its way.
type bulk struct {
	s          *Server
	c          *call
	failOn     int // stop at so many errors; 0: never
	operations []*operation
	posts      map[string]*operation   // by bulkId
	created    map[store.ID]*operation // by the id that a POST gives, unless its record returns

	failed   int
	internal int // of them internal errors
}

func newBulk(s *Server, c *call, request dialect.BulkRequest) (*bulk, error) {
	b := &bulk{s: s, c: c, failOn: request.FailOnErrors, posts: map[string]*operation{}, created: map[store.ID]*operation{}}
	now := time.Now()
	b.operations = make([]*operation, len(request.Operations))
	for i := range request.Operations {
		o := newOperation(request.Operations[i], now)
		request.Operations[i].Data = nil // it has been read
		b.operations[i] = o
		if o.method != http.MethodPost || o.bulkID == "" {
			continue
		}
		if b.posts[o.bulkID] != nil {
			return nil, &statusError{http.StatusBadRequest, "invalidValue", "the bulkId " + shortened(o.bulkID) + " is given to two operations"}
		}
		b.posts[o.bulkID], b.created[o.newID] = o, o
	}
	return b, nil
}

// carryOut runs all operations, a window of them at a time. A window that cannot be
// kept as a whole is halved until what can be is, and what cannot stands alone.
func (b *bulk) carryOut() {
	queue, most := b.order(), maxUnits
	for len(queue) > 0 && !b.stopped() {
		units := b.window(queue, most)
		done, err := b.run(units)
		switch {
		case err == nil:
			most = min(2*most, maxUnits)
		case len(units) > 1 && b.timeLeft():
			most = len(units) / 2
			continue
		default:
			done = len(units)
			for _, u := range units {
				u.fail(err)
			}
		}
		for _, u := range queue[:done] {
			b.count(u)
		}
		queue = queue[done:]
	}
	if b.failOn > 0 && b.failed >= b.failOn {
		return
	}
	for _, u := range queue {
		u.fail(store.Errorf(store.CodeBusy, "the Bulk took too long before this operation; send it again"))
	}
}

func (b *bulk) stopped() bool {
	return b.failOn > 0 && b.failed >= b.failOn || b.internal >= internalErrors || !b.timeLeft()
}

func (b *bulk) timeLeft() bool {
	if b.c.ctx().Err() != nil {
		return false
	}
	until, bounded := b.c.ctx().Deadline()
	return !bounded || time.Until(until) > spare
}

// count adds the errors of a unit that is done, and logs those that a client cannot help.
func (b *bulk) count(u unit) {
	for _, o := range u {
		if o.err == nil {
			continue
		}
		b.failed++
		if status, _, _ := describe(o.err); status == http.StatusInternalServerError && !errors.Is(o.err, context.Canceled) {
			b.internal++
			b.s.Logger.ErrorContext(b.c.ctx(), "scim bulk operation failed", "method", o.method, "request", b.c.cause.Request, "error", o.err)
		}
	}
}

// response tells what became of the operations that were carried out, in their order.
func (b *bulk) response() bulkResponse {
	r := bulkResponse{Schemas: []string{bulkResponseSchema}, Operations: make([]bulkResult, 0, len(b.operations))}
	for _, o := range b.operations {
		if !o.done {
			continue
		}
		result := bulkResult{Method: o.method, BulkID: o.bulkID}
		id := o.id
		if target := b.named(o.target); id == "" && !strings.HasPrefix(target, bulkIDPrefix) {
			id = store.ID(target)
		}
		if o.endpoint() != "" && id != "" {
			result.Location = b.c.location(o.endpoint()+"/", id)
		}
		switch {
		case o.err != nil:
			status, scimType, detail := describe(o.err)
			result.Status = strconv.Itoa(status)
			result.Response = &errorBody{[]string{errorSchema}, result.Status, scimType, detail}
		case o.method == http.MethodDelete:
			result.Status = strconv.Itoa(http.StatusNoContent)
		case o.method == http.MethodPost:
			result.Status, result.Version = strconv.Itoa(http.StatusCreated), etag(o.version)
		default:
			result.Status, result.Version = strconv.Itoa(http.StatusOK), etag(o.version)
		}
		r.Operations = append(r.Operations, result)
	}
	return r
}

// shortened keeps a client's word from filling an error.
func shortened(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
