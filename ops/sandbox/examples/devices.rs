//! Runs the twins of a terminal's devices alone: `devices DIR [KEY_FILE]`.

use guichet_sandbox::devices::{DevicesTwinConfig, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let Some(dir) = args.next() else { anyhow::bail!("usage: devices DIR [KEY_FILE]") };
    let mut config = DevicesTwinConfig::new(std::path::PathBuf::from(dir));
    config.key_file = args.next().map(Into::into);
    run(config).await
}
