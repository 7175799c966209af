-- the dead man's check: when the Watchdog of each source was received last, since when it is overdue, and when people were told so last
create table watchdog (
  source text primary key check (source <> ''), seen_at bigint, silent_at bigint, said_at bigint,
  check ((silent_at is null) = (said_at is null)));
