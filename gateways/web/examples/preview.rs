//! Serves the site on a timetable and a center in memory, for looking at pages: `cargo run -p guichet-web --example preview -- PORT`.

#[path = "../tests/world/mod.rs"]
mod world;

use guichet_web::WebConfig;
use guichet_web::server::{app, serve};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
    let stage = world::stage(1000);
    let config = WebConfig { listen: ([127, 0, 0, 1], port).into(), ..stage.app.config.clone() };
    let (desk, readiness) = (stage.app.desk.clone(), stage.app.readiness.clone());
    let (address, _) = serve(app(config, desk, readiness, None))?;
    println!("http://{address}");
    std::future::pending::<()>().await;
    Ok(())
}
