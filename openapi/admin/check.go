package admin

import (
	"context"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// CheckDirectory tries a live directory step by step.
func (s *Server) CheckDirectory(ctx context.Context, req openapi.CheckDirectoryRequestObject) (openapi.CheckDirectoryResponseObject, error) {
	steps, err := s.Runs.Check(ctx, orgOf(ctx), req.Directory)
	if err != nil {
		return nil, err
	}
	out := openapi.DirectoryCheck{Ok: true, Steps: make([]openapi.CheckStep, len(steps))}
	for i := range steps {
		step := &steps[i]
		out.Ok = out.Ok && step.Status != store.CheckFailed
		out.Steps[i] = openapi.CheckStep{
			Name: step.Name, Target: step.Target, Status: openapi.CheckStatus(step.Status),
			Detail: step.Detail, Field: step.Field, Hint: step.Hint, Seconds: step.Seconds,
		}
	}
	return openapi.CheckDirectory200JSONResponse(out), nil
}
