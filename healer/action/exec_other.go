//go:build !linux

package action

import (
	"context"
	"errors"
	"io/fs"

	"github.com/onefiveten/onefiveten/healer"
)

// errNoPlatform is the answer where a child cannot be bound to its parent.
var errNoPlatform = errors.New("exec steps need Linux")

// run refuses: without Linux a child could outlive its parent unseen.
func (e *Executor) run(context.Context, healer.Action) healer.Result {
	return failed("starting: %v", errNoPlatform)
}

func ownerOf(fs.FileInfo) (uint32, error) { return 0, errNoPlatform }
