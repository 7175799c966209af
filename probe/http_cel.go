package probe

import (
	"context"
	"encoding/json"
	"fmt"

	"cel.dev/cel-go/cel"
)

// maxJSON bounds the body that is read as JSON where the module sets no
// body_size_limit: the values take many times the memory of the text.
const maxJSON = 4 << 20

// maxCost bounds the steps of one evaluation, and with them its memory. A pass
// over the values of maxJSON takes a fraction of it.
const maxCost = 10_000_000

// condition is an expression of CEL over body, the answer read as JSON. It is
// compiled when the file is read.
type condition struct {
	cel.Program
	text string
}

// UnmarshalYAML compiles the text. One that is not of type bool would fail every
// probe, and is a mistake of the file as is one that does not compile.
func (c *condition) UnmarshalYAML(unmarshal func(any) error) error {
	if err := unmarshal(&c.text); err != nil {
		return err
	}
	environment, err := cel.NewEnv(cel.Variable("body", cel.DynType))
	if err != nil {
		return fmt.Errorf("preparing CEL: %w", err)
	}
	compiled, issues := environment.Compile(c.text)
	if issues.Err() != nil {
		return fmt.Errorf("CEL expression %q: %s", c.text, firstIssue(issues))
	}
	if kind := compiled.OutputType(); !kind.IsAssignableType(cel.BoolType) {
		return fmt.Errorf("CEL expression %q: want one of type bool, got %s", c.text, kind)
	}
	c.Program, err = environment.Program(compiled, cel.InterruptCheckFrequency(100), cel.CostLimit(maxCost))
	if err != nil {
		return fmt.Errorf("CEL expression %q: %w", c.text, err)
	}
	return nil
}

// MarshalYAML writes the expression as it was read.
func (c *condition) MarshalYAML() (any, error) { return c.text, nil }

// firstIssue says what is wrong and where, in one line: the library draws the
// expression with an arrow under it.
func firstIssue(issues *cel.Issues) string {
	first := issues.Errors()[0]
	return fmt.Sprintf("%s (line %d, column %d)", first.Message, first.Location.Line(), first.Location.Column()+1)
}

// holds evaluates the expression on a decoded body, until the end of ctx.
func (c *condition) holds(ctx context.Context, body any) (bool, error) {
	result, _, err := c.ContextEval(ctx, map[string]any{"body": body})
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return false, fmt.Errorf("CEL expression %q: %w", c.text, err)
	}
	value, ok := result.Value().(bool)
	if !ok {
		return false, fmt.Errorf("CEL expression %q: want a result of type bool, got %s", c.text, result.Type().TypeName())
	}
	return value, nil
}

// judgeJSON holds the body, which must be JSON, against the conditions: bad must
// not hold, good must. Either may be nil.
func judgeJSON(ctx context.Context, text []byte, bad, good *condition) error {
	var body any
	if err := json.Unmarshal(text, &body); err != nil {
		return &failure{Content, fmt.Errorf("reading the body as JSON: %w", err)}
	}
	for _, c := range []*condition{bad, good} {
		if c == nil {
			continue
		}
		switch held, err := c.holds(ctx, body); {
		case err != nil:
			return fail(Content, err)
		case held && c == bad:
			return &failure{Content, fmt.Errorf("body matches %q", c.text)}
		case !held && c == good:
			return &failure{Content, fmt.Errorf("body does not match %q", c.text)}
		}
	}
	return nil
}
