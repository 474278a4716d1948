//! Numbers of the last half-hour as gauges, for those who watch `/metrics` and not the API.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::gauge;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::handoff::actor::DeskHandle;
use crate::handoff::intervals::{Span, gauges};
use crate::store::Store;
use crate::telemetry::metric;
use crate::web::api::metrics::{WINDOW, limits, open_spans};

/// How often they are made anew.
const EVERY: Duration = Duration::from_secs(15);

/// Until `stop`.
pub(super) async fn keep(store: Arc<dyn Store>, desk: DeskHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = Timestamp::now();
        let span = Span { from: now - WINDOW, until: now };
        match store.outline(span.from, span.until).await {
            Ok(outline) => {
                let gauges = gauges(&outline, &open_spans(&desk.live().await, now), span, &limits(None, now));
                gauge!(metric::SERVICE_LEVEL).set(gauges.service_level.unwrap_or(f64::NAN));
                gauge!(metric::ABANDONED_RATIO).set(gauges.abandonment_rate.unwrap_or(f64::NAN));
                gauge!(metric::OCCUPANCY).set(gauges.occupancy.unwrap_or(f64::NAN));
                gauge!(metric::LONGEST_WAIT).set(desk.census().await.longest.as_secs_f64());
            }
            Err(error) => debug!(%error, "The gauges of the last half-hour could not be made"),
        }
    }
}
