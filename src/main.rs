//! `warmline`: flags → config → telemetry → app → exit code.

fn main() {}
