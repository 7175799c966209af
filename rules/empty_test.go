package rules

import "testing"

func TestGenerate_PromisesNothingWithoutServices(t *testing.T) {
	s := demo()
	s.Services = nil
	files, bounds, err := Generate(s)
	if err != nil || len(files)+len(bounds) > 0 {
		t.Errorf("got %d files, %d bounds, %v, want none", len(files), len(bounds), err)
	}
	s.Observers = nil
	if _, _, err := Generate(s); err == nil {
		t.Error("a mistake is not told where there is no service")
	}
}
