package journal

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"
)

// scripts are the numbered migrations. They go forward only, and one that was
// released never changes.
//
//go:embed migrations/*.sql
var scripts embed.FS

// migrations gives the scripts in order; the first brings version 0 to 1.
func migrations() []string {
	var list []string
	for {
		text, err := fs.ReadFile(scripts, fmt.Sprintf("migrations/%04d.sql", len(list)+1))
		if err != nil {
			return list
		}
		list = append(list, string(text))
	}
}

// migrate brings a journal to the version that the list ends with, one
// transaction each.
func migrate(ctx context.Context, db *sql.DB, list []string, now time.Time) error {
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	if err := refuseNewer(version, len(list)); err != nil {
		return err
	}
	for ; version < len(list); version++ {
		if err := migrateOnce(ctx, db, list[version], version+1, now); err != nil {
			return fmt.Errorf("bringing the schema from version %d to %d: %w", version, version+1, err)
		}
	}
	return nil
}

// migrateOnce runs one script and notes its version in the same transaction: a
// script that breaks, or a crash in it, leaves the version before.
func migrateOnce(ctx context.Context, db *sql.DB, script string, version int, now time.Time) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, script); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `insert into meta (one, schema_version, created_at) values (1, ?, ?)
		on conflict (one) do update set schema_version = excluded.schema_version`, version, now.UnixMilli()); err != nil {
		return err
	}
	return tx.Commit()
}

// schemaVersion is 0 for an empty file. A database without a journal's meta
// table is somebody else's.
func schemaVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	var tables, metas int
	err = db.QueryRowContext(ctx, "select count(*), count(case when name = 'meta' then 1 end) from sqlite_master where type = 'table'").Scan(&tables, &metas)
	switch {
	case err != nil:
		return 0, fmt.Errorf("reading the schema: %w", err)
	case tables == 0:
		return 0, nil
	case metas == 0:
		return 0, fmt.Errorf("it holds %d tables, but no meta: not a journal of heal-receiver", tables)
	}
	if err := db.QueryRowContext(ctx, "select schema_version from meta").Scan(&version); err != nil {
		return 0, fmt.Errorf("reading meta.schema_version: %w", err)
	}
	return version, nil
}

// checkVersion demands exactly the schema of this program.
func checkVersion(ctx context.Context, db *sql.DB) error {
	want := len(migrations())
	got, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	if got < want {
		return fmt.Errorf("schema version is %d, want %d: start heal-receiver once to bring it up to date", got, want)
	}
	return refuseNewer(got, want)
}

// refuseNewer keeps an older program from writing what it does not understand.
func refuseNewer(got, want int) error {
	if got > want {
		return fmt.Errorf("schema version is %d, this program knows up to %d: use the newer heal-receiver that wrote it", got, want)
	}
	return nil
}
