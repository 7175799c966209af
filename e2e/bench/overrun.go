package main

import "context"

func (b *bench) overrun(ctx context.Context) error { return nil }
