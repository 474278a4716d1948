//! `[outbound]`: calls we make, callbacks and agents at their own telephones.

use serde::{Deserialize, Serialize};

use super::{Problems, Section};
use crate::said::Said;

/// The providers whose API makes calls.
const CALLERS: [&str; 8] = ["twilio", "signalwire", "telnyx", "plivo", "vonage", "bandwidth", "jambonz", "asterisk"];

/// Calls we make.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundConfig {
    /// The provider whose API makes all of them. Empty: callers are called back by their own provider where that can, and by the
    /// first that is configured for calls where it can't.
    pub provider: String,
}

impl Section for OutboundConfig {
    const NAME: &'static str = "outbound";
    fn check(&self, problems: &mut Problems) {
        if !self.provider.is_empty() && !CALLERS.contains(&self.provider.as_str()) {
            let allowed = CALLERS.join(", ");
            let said = Said::new("no_caller", format!("must be one of those whose API makes calls: {allowed}"));
            problems.add("outbound.provider", &self.provider, said.with("allowed", allowed));
        }
    }
}
