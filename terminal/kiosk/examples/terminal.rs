//! Runs one terminal alone: `terminal DATA_DIR DEVICES_DIR CENTER_ADDR SCREEN_ADDR CODE [--preview]`.

use std::process::ExitCode;

use guichet_kiosk::{DevicePaths, KioskConfig};

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [data, devices, center, screen, code, rest @ ..] = &args[..] else {
        eprintln!("terminal DATA_DIR DEVICES_DIR CENTER_ADDR SCREEN_ADDR CODE [--preview]");
        return ExitCode::FAILURE;
    };
    let Ok(screen_addr) = screen.parse() else {
        eprintln!("{screen} is no address: host:port is one");
        return ExitCode::FAILURE;
    };
    let paths = DevicePaths::in_dir(devices.as_ref());
    let mut config = KioskConfig::new(data.into(), center.as_str(), 1, paths);
    config.screen_addr = screen_addr;
    config.enrolment_code = Some(code.clone());
    config.preview = rest.iter().any(|arg| arg == "--preview");
    match guichet_kiosk::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}
