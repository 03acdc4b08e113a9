//! `init`, `serve` and `admin-token`.

use super::CliError;
use super::error::read;
use crate::broker::Broker;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::layout::Layout;
use crate::release::bounds::STACK;
use crate::{init, jwt, server};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address and port, instead of the one in config.toml; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// Make a broker.
pub fn init(layout: &Layout, tls_names: &[String]) -> Result<(), CliError> {
    init::init(layout, tls_names, SystemClock.now())?;
    let mut out = std::io::stdout();
    writeln!(out, "made a broker in {}", layout.directory().display())?;
    writeln!(
        out,
        "next: name {} in your pods' initdata, `reference add`, `secret set`, `serve`",
        layout.ca().display()
    )?;
    Ok(())
}

/// Serve.
pub fn serve(layout: Layout, arguments: &Args) -> Result<(), CliError> {
    let config = Config::load(&layout)?;
    let address = arguments.listen.unwrap_or(config.listen);
    let broker = Arc::new(Broker::open(layout, config, Box::new(SystemClock))?);
    server::check(&broker)?;
    for warning in broker.warnings().into_iter().chain(server::warning(&broker)) {
        eprintln!("sealpod-kbs: {warning}");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().thread_stack_size(STACK).build().map_err(CliError::Runtime)?;
    runtime.block_on(async {
        let listen = |source| CliError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate()).map_err(CliError::Runtime)?,
            signal(SignalKind::interrupt()).map_err(CliError::Runtime)?,
        );
        let mut out = std::io::stdout();
        writeln!(out, "listening on {}", listener.local_addr().map_err(listen)?)?;
        out.flush()?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        Ok(server::run(listener, broker, shutdown).await?)
    })
}

/// Print an administrator's token.
pub fn admin_token(layout: &Layout, seconds: u64) -> Result<(), CliError> {
    let path = layout.admin_key();
    let key = zeroize::Zeroizing::new(read(&path)?);
    let token = jwt::admin_token(&key, SystemClock.now(), seconds)
        .map_err(|source| CliError::Key { path, source })?;
    writeln!(std::io::stdout(), "{token}")?;
    Ok(())
}
