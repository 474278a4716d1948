//! Moving a caller by the provider's API while their stream is open: the provider is told to ask us at once what becomes of the
//! call, or what that is. The answers are those of a stream that was closed, so a move that fails is made good by closing it.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::{Inner, WebhookState, pbx, plivo, signalwire, telnyx, twilio, vonage};
use crate::call::input::{Missed, TransferNews};
use crate::web::carrier::ari::Ari;
use crate::web::carrier::laml;
use crate::web::carrier::{self, Ask, CarrierError};
use crate::web::moving::{Departing, Moved, Mover};

/// How long a caller waits for the API before the stream is closed instead.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks after a caller whose telephone was told to go elsewhere.
const LOOK: Duration = Duration::from_secs(1);

#[async_trait]
impl Mover for WebhookState {
    fn can_move(&self, provider: &'static str) -> bool {
        let providers = &self.0.gate.providers;
        match provider {
            "twilio" | "signalwire" => laml::Account::of(provider, providers).is_some(),
            "plivo" => carrier::plivo::Account::of(&providers.plivo).is_some(),
            "telnyx" => carrier::telnyx::Account::of(&providers.telnyx).is_some(),
            "vonage" => carrier::vonage::is_configured(&providers.vonage),
            "asterisk" => Ari::of(&providers.asterisk).is_some(),
            _ => false,
        }
    }

    async fn move_call(&self, caller: &Departing) -> Moved {
        let moved = timeout(PATIENCE, self.0.move_call(caller)).await.unwrap_or_else(|_| {
            warn!("{} did not say in time whether a caller was moved", caller.provider);
            Moved::No
        });
        let moved = match (moved, Ari::of(&self.0.gate.providers.asterisk).and_then(Ari::redirects_within)) {
            (Moved::Yes, Some(patience)) if caller.provider == "asterisk" => {
                self.0.followed(&caller.call_id, patience).await
            }
            _ => moved,
        };
        info!(?moved, "A caller is moved by the API of {}: {moved:?}", caller.provider);
        moved
    }

    fn stayed(&self, provider: &'static str, call_id: &str) {
        // Their telephone would not, or whom it called: nobody says which.
        self.0.admission.transferred(provider, call_id, TransferNews::Missed(Missed::Failed));
        self.0.admission.transferred(provider, call_id, TransferNews::Back);
    }
}

impl Inner {
    async fn move_call(&self, caller: &Departing) -> Moved {
        let (providers, call_id) = (&self.gate.providers, caller.call_id.as_str());
        match caller.provider {
            "twilio" | "signalwire" => {
                let spec = if caller.provider == "twilio" { &twilio::TWILIO } else { &signalwire::SIGNALWIRE };
                let Some(account) = laml::Account::of(caller.provider, providers) else { return Moved::No };
                self.moved(account.redirect(call_id, self.url(&format!("{}/after", spec.path)))).await
            }
            "plivo" => {
                let Some(account) = carrier::plivo::Account::of(&providers.plivo) else { return Moved::No };
                self.moved(account.redirect(call_id, &self.url(&format!("{}/after", plivo::PLIVO.path)))).await
            }
            "telnyx" => {
                let Some(account) = carrier::telnyx::Account::of(&providers.telnyx) else { return Moved::No };
                // A call of Call Control gets its commands once the stream is over.
                if caller.account.is_empty() {
                    return Moved::No;
                }
                let after = self.url(&format!("{}/after", telnyx::TEXML.path));
                self.moved(account.redirect(&caller.account, call_id, after)).await
            }
            "vonage" => vonage::person::move_call(self, caller).await,
            "asterisk" => {
                let Some(ari) = Ari::of(&providers.asterisk) else { return Moved::No };
                match pbx::dialable(caller.transfer.target.reveal()) {
                    target if target.is_empty() => Moved::No,
                    target => self.moved(ari.leave(call_id, &target)).await,
                }
            }
            _ => Moved::No,
        }
    }

    /// Whether a telephone that was told to go elsewhere goes. ARI says yes before it knows, and nothing when the telephone says
    /// no: the channel is there then, with nobody but us.
    async fn followed(&self, channel: &str, patience: Duration) -> Moved {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            sleep(LOOK).await;
            let Some(ari) = Ari::of(&self.gate.providers.asterisk) else { break };
            match self.carrier.ask(ari.look(channel)).await {
                Err(error) if error.is_gone() => return Moved::Yes,
                // Not to be seen just now: they are there until somebody says they are not.
                Ok(_) | Err(_) => {}
            }
        }
        Moved::Stayed
    }

    /// Asks, and says what the answer means.
    pub(super) async fn moved(&self, ask: Ask<'_>) -> Moved {
        match self.carrier.ask(ask).await {
            Ok(_) => Moved::Yes,
            Err(error) if error.is_gone() => Moved::Gone,
            Err(error) => {
                not_moved(&error);
                Moved::No
            }
        }
    }
}

fn not_moved(error: &CarrierError) {
    warn!("A provider did not move a caller, whose stream is closed instead: {error}");
}
