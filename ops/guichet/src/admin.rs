//! The admin socket: other commands ask the running center over it, one line of JSON each way.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::center::Center;
use crate::data::DataDir;
use crate::settle::{SettleReport, SettleRequest};

/// Bytes of a line at most.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Who is there?
    Who,
    /// Cut over, close, compare.
    Settle(SettleRequest),
    /// Register a terminal: a one-time enrolment code, and the keys to inject into its PIN pad.
    Register {
        /// Its number.
        terminal: u32,
        /// The provider's code of the station it stands in.
        place: String,
        /// The owner's number.
        owner: u32,
        /// Who registers it.
        by: u64,
    },
    /// The tag of a card whose number came from standard input.
    CardTag {
        /// The number; it crosses this socket only.
        pan: String,
    },
    /// What a gate says of a ticket's code.
    Verify {
        /// The code's bytes, hexadecimal.
        code: String,
    },
    /// An operator's command.
    Operator(crate::operator::Request),
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The center's process.
    Me {
        /// Its process id.
        pid: u32,
    },
    /// What settling did.
    Settled(Box<SettleReport>),
    /// What a new terminal needs, once.
    Registered {
        /// The enrolment code.
        code: String,
        /// The PIN pad's keys, as its key file has them.
        pad_keys: String,
    },
    /// The tag, hexadecimal.
    Tag {
        /// 32 digits.
        tag: String,
    },
    /// What the gate says.
    Verified(crate::gate::Verdict),
    /// What an operator's command did.
    Operator(crate::operator::Reply),
    /// It did not work.
    Failed {
        /// Why, and what to do.
        why: String,
    },
}

/// The socket at work.
pub struct Server {
    task: JoinHandle<()>,
    path: std::path::PathBuf,
}

impl Server {
    /// Closes it.
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Refuses to run a directory that another center runs.
pub async fn refuse_second(data: &DataDir) -> Result<()> {
    if let Ok(Some(Answer::Me { pid })) = ask(data, &Ask::Who).await {
        bail!(
            "{} is in use by the running center (process {pid}): stop that one, or name another directory with --data",
            data.root().display()
        );
    }
    Ok(())
}

/// Listens for other commands.
pub fn serve(center: Arc<Center>) -> Result<Server> {
    let path = center.data.admin_socket();
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)
        .with_context(|| format!("cannot listen on {}", path.display()))?;
    restrict(&path)?;
    let weak = Arc::downgrade(&center);
    let task = tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Some(center) = weak.upgrade() else { return };
            tokio::task::spawn_local(async move {
                if let Err(error) = talk(stream, &center).await {
                    tracing::debug!(%error, "a command on the admin socket went away");
                }
            });
        }
    });
    Ok(Server { task, path })
}

fn restrict(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot restrict {}", path.display()))
}

async fn talk(stream: UnixStream, center: &Center) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(tokio::io::AsyncReadExt::take(read, LINE_BYTES_MAX as u64));
    reader.read_line(&mut line).await?;
    let answer = match serde_json::from_str::<Ask>(&line) {
        Ok(asked) => {
            answer(center, asked).await.unwrap_or_else(|e| Answer::Failed { why: format!("{e:#}") })
        }
        Err(error) => Answer::Failed {
            why: format!(
                "the question is not understood: {}",
                guichet_web::problem::without_values(&error.to_string())
            ),
        },
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    write.shutdown().await?;
    Ok(())
}

async fn answer(center: &Center, asked: Ask) -> Result<Answer> {
    use guichet_ports::keys::KeyServer;
    match asked {
        Ask::Who => Ok(Answer::Me { pid: std::process::id() }),
        Ask::Settle(request) => {
            Ok(Answer::Settled(Box::new(crate::settle::settle(center, &request).await?)))
        }
        Ask::Register { terminal, place, owner, by } => {
            let terminal = guichet_engine::ids::TerminalId(terminal);
            let station = center.info.as_ref().and_then(|info| info.station(&place));
            let station =
                station.with_context(|| format!("no provider knows the station {place}"))?;
            let pad_keys = crate::links::pad_keys(center, terminal)?;
            let registrar = crate::links::Registrar { owner, by };
            let code = center
                .register_terminal_as(registrar, terminal, &station.id, &station.name)
                .await?;
            Ok(Answer::Registered { code, pad_keys })
        }
        Ask::CardTag { pan } => {
            let identity = center
                .vault
                .identify(&guichet_ports::secret::Pan::new(pan))
                .context("that is no card number")?;
            Ok(Answer::Tag { tag: hex::encode(identity.tag.0) })
        }
        Ask::Verify { code } => Ok(Answer::Verified(crate::gate::verdict(&center.vault, &code)?)),
        Ask::Operator(request) => {
            Ok(Answer::Operator(crate::operator::answer(center, request).await?))
        }
    }
}

/// Asks the running center; `None` when none runs.
pub async fn ask(data: &DataDir, question: &Ask) -> Result<Option<Answer>> {
    let Ok(stream) = UnixStream::connect(data.admin_socket()).await else { return Ok(None) };
    let (read, mut write) = stream.into_split();
    let mut text = serde_json::to_string(question)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(read).read_line(&mut line).await?;
    if line.is_empty() {
        bail!("the running center went away before it answered");
    }
    let answer =
        serde_json::from_str(&line).context("the running center answered something unexpected")?;
    match answer {
        Answer::Failed { why } => bail!(why),
        answer => Ok(Some(answer)),
    }
}
