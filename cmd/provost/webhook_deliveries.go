package main

import (
	"strconv"

	"github.com/provost-scim/provost/openapi"
)

type webhookDeliveries struct {
	webhookOne
	State string `enum:",pending,delivered,dropped" default:"" placeholder:"STATE" help:"Only those that are pending, delivered, or dropped."`
	Limit int    `default:"100" help:"At most so many; 0 lists all."`
}

// Run lists deliveries, the last first.
func (c *webhookDeliveries) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	params := openapi.ListDeliveriesParams{}
	if c.State != "" {
		state := openapi.DeliveryState(c.State)
		params.State = &state
	}
	return list(s, &c.remote, []column[openapi.Delivery]{
		{title: "CURSOR", value: func(d *openapi.Delivery) string { return strconv.FormatInt(d.EventCursor, 10) }},
		{title: "TYPE", value: func(d *openapi.Delivery) string { return d.Type }},
		{title: "STATE", value: func(d *openapi.Delivery) string { return string(d.State) }},
		{title: "ATTEMPTS", value: func(d *openapi.Delivery) string { return strconv.Itoa(d.Attempts) }},
		{title: "LAST", value: func(d *openapi.Delivery) string { return lastTry(d) }, shrink: true},
		{title: "NEXT", value: func(d *openapi.Delivery) string { return whenGiven(d.NextAttemptAt) }},
		{title: "ID", value: func(d *openapi.Delivery) string { return d.ID }},
	}, func(d *openapi.Delivery) string { return d.ID }, func(each func(*openapi.Delivery) error) error {
		return pages(c.Limit, func(cursor *string, size int) ([]openapi.Delivery, string, error) {
			params.Cursor, params.Limit = cursor, &size
			page, err := answer((*openapi.ListDeliveriesResponse).GetJSON200)(api.ListDeliveriesWithResponse(s.ctx, c.Name, &params))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

// lastTry is how the last attempt ended; without one there was none.
func lastTry(d *openapi.Delivery) string {
	if len(d.Tries) == 0 {
		return ""
	}
	last := d.Tries[len(d.Tries)-1]
	if last.Error != "" {
		return last.Error
	}
	return strconv.Itoa(last.Status)
}

type webhookRedeliver struct {
	webhookOne
	ID string `arg:"" name:"id" help:"The id of the delivery."`
}

// Run makes the delivery due.
func (c *webhookRedeliver) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	d, err := answer((*openapi.RedeliverResponse).GetJSON202)(api.RedeliverWithResponse(s.ctx, c.Name, c.ID, nil))
	if err != nil {
		return err
	}
	said(s, &c.remote, "the event %s is delivered to %s again", d.Event, c.Name)
	return nil
}
