//! What stands behind the site in its tests is held to the contracts of its ports.

mod world;

use std::sync::Arc;

use guichet_engine::ids::OperatorId;
use guichet_ports::conformance;
use world::{Safe, stage};

#[actix_web::test]
async fn the_center_does_as_every_center() {
    conformance::center(&*stage(1).world, OperatorId(1)).await;
}

#[test]
fn the_timetable_knows_tickets_as_every_database_does() {
    let stage = stage(1);
    let tomorrow = stage.line.today().tomorrow().expect("a day").to_string();
    conformance::ticket_information(&*stage.line, "muc", "ham", &tomorrow);
    conformance::ticket_information(&*stage.line, "nue", "hal", &tomorrow);
}

#[test]
fn the_safe_keeps_people_and_names_cards_as_every_vault_does() {
    let safe = Arc::new(Safe::default());
    conformance::vault(|| Arc::clone(&safe) as _);
    conformance::cards(&|| Arc::clone(&safe) as _);
}
