//! Live events of this process that others may watch: transcripts, call states. In-process broadcast; slow watchers lose.
