//! The card reader's task.

use guichet_devices::{CardReader, DeviceState};
use tracing::warn;

use super::{Device, Event, Events, Report, Teller};

/// Serves until the shell is gone.
pub async fn serve(mut reader: impl CardReader, events: Events) {
    let mut teller = Teller::new(Device::Reader, events.clone());
    loop {
        // Opens the line; waits out the pause after a failure.
        let report = Report::plain(reader.status().await.device);
        if !teller.tell(report).await {
            return;
        }
        if report.state != DeviceState::Online {
            continue;
        }
        loop {
            match reader.next_swipe().await {
                Ok(swipe) => {
                    if events.send(Event::Swipe(swipe)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    warn!(%error, "the card reader failed");
                    if !teller.tell(Report::failed(&error)).await {
                        return;
                    }
                    break;
                }
            }
        }
    }
}
