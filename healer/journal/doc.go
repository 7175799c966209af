// Package journal is the durable memory of heal-receiver: inbox, episodes,
// incidents, runs, mitigations, messages and the audit chain, in one SQLite
// file. It is given the changes of package healer and gives them back after
// any crash: each method of Store is one transaction, and what it answered is
// on disk. Uniqueness, locks and timers are constraints of the schema
// (migrations/0001.sql), so that a mistake elsewhere is refused here.
//
// # Files
//
// Beside FILE stand FILE-wal and FILE-shm, which belong to SQLite and must move
// with it while they exist, and FILE.lock, which names the process that serves
// the journal and may be removed when there is none. All are readable by their
// owner alone: they hold labels, rendered commands and their output. A copy of
// FILE is whole only if it was made by SQLite ("vacuum into") or after the
// server has ended.
//
// # Writing
//
// There is one writing connection, and changes queue for it in this process;
// "begin immediate" takes the file's write lock before the first read, so that
// what a change has read cannot have changed when it writes. Readers have
// connections of their own and see the last commit. synchronous=FULL makes a
// commit wait for the disk.
//
// A case is loaded whole, edited by the healer and compared, row by row, with
// what was loaded; only rows that differ are written. Each column is named once,
// in table.go, together with the field that it holds; reading, writing and
// comparing are made from that.
//
// # Time
//
// The journal's clock is the host's, cut to the millisecond, and never runs
// back: while the host's clock is behind, the journal's stands still, and after
// a jump of more than a second nothing is claimed until it is caught up. Two
// instants are not this clock's and are never compared with it: those of the
// alerts' source (starts_at, last_starts, last_ends) and Prometheus' (fence_at).
//
// # What is not on disk
//
// The last reading of each Alertmanager (see Reconcile), the size of the inbox
// (added up when the file is opened) and the latest instant of the clock. Each
// begins anew with the process, on the safe side.
package journal
