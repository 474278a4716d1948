//! Numbers of the last half-hour as gauges, for those who watch `/metrics` and not the API.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::gauge;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::handoff::actor::DeskHandle;
use crate::handoff::intervals::{Span, figures};
use crate::store::Store;
use crate::telemetry::metric;
use crate::web::api::metrics::{WINDOW, limits, so_far};

/// How often they are made anew.
const EVERY: Duration = Duration::from_secs(15);

/// Until `stop`.
pub(super) async fn keep(store: Arc<dyn Store>, desk: DeskHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = Timestamp::now();
        let span = Span { from: now - WINDOW, until: now };
        match so_far(store.as_ref(), &desk, span, now).await {
            Ok(period) => {
                let figures = figures(&period, span, &limits(None, now), None);
                gauge!(metric::SERVICE_LEVEL).set(figures.service_level.unwrap_or(f64::NAN));
                gauge!(metric::ABANDONED_RATIO).set(figures.abandonment_rate.unwrap_or(f64::NAN));
                gauge!(metric::OCCUPANCY).set(figures.time.and_then(|time| time.occupancy).unwrap_or(f64::NAN));
                gauge!(metric::LONGEST_WAIT).set(desk.census().await.longest.as_secs_f64());
            }
            Err(error) => debug!(%error, "The gauges of the last half-hour could not be made"),
        }
    }
}
