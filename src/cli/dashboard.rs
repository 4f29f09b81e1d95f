//! `haulage dashboard`.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use axum::Extension;
use clap::ValueEnum;
use haulage::{
    check_schema,
    dashboard::{self, Auth, Identity, Network, Role, only_local, read_only},
};
use sqlx::postgres::PgPoolOptions;
use tokio::{net::TcpListener, sync::oneshot};

use super::{connect::DatabaseUrl, output::remark, replica::ReadUrl, stop::Stops};

/// Connections to the database.
pub(crate) const CONNECTIONS: u32 = 4;

/// How long a page waits for a connection.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// How long answers that were begun may take when the dashboard is told to stop: longer than any statement of a page.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// Serves the web UI
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage dashboard                                      on this machine, for whoever is on it: as you, and as admin
  haulage dashboard --read-only                          the same, and nothing can be changed
  haulage dashboard --listen 0.0.0.0:8090 --auth basic --credentials /etc/haulage/dashboard
  haulage dashboard --read-url postgres://..@replica/app   lists and charts from a replica
  haulage dashboard --listen 10.1.2.3:8090 --auth proxy --trusted-proxy 10.1.0.0/16
  ssh -L 8090:127.0.0.1:8090 HOST haulage dashboard      to see it from elsewhere

Credentials are lines like ana:correct-horse for a viewer, ana operator:correct-horse or ana admin:correct-horse, from the file or
from HAULAGE_DASHBOARD_CREDENTIALS. Put TLS in front: basic and bearer send the secret with each request.")]
pub(crate) struct Dashboard {
    /// The address to listen on; beyond this machine only with a log-in
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,

    /// How people and programs say who they are
    #[arg(long, value_enum, value_name = "WAY")]
    auth: Option<Way>,

    /// A file with a line NAME:SECRET for each, for basic and bearer
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,

    /// The same, by the environment
    #[arg(long, hide = true, env = "HAULAGE_DASHBOARD_CREDENTIALS", hide_env_values = true, conflicts_with = "credentials")]
    credentials_text: Option<String>,

    /// An address or network that the proxy speaks from; may be repeated
    #[arg(long, value_name = "NETWORK")]
    trusted_proxy: Vec<Network>,

    /// The header in which the proxy says who it is [default: X-Forwarded-User]
    #[arg(long, value_name = "NAME")]
    user_header: Option<String>,

    /// The header in which the proxy names groups, with commas between [default: X-Forwarded-Groups]
    #[arg(long, value_name = "NAME")]
    groups_header: Option<String>,

    /// Whoever is in this group is an operator; may be repeated
    #[arg(long, value_name = "GROUP")]
    operator_group: Vec<String>,

    /// Whoever is in this group is an admin; may be repeated
    #[arg(long, value_name = "GROUP")]
    admin_group: Vec<String>,

    /// Let everybody who reaches the address see every job, and nobody change one
    #[arg(long, conflicts_with = "auth")]
    insecure_no_auth: bool,

    #[command(flatten)]
    replica: ReadUrl,

    /// Change nothing, whoever asks: the database refuses every write
    #[arg(long)]
    read_only: bool,

    /// Who does what is done here without a log-in, for the audit
    #[arg(id = "who", long = "as", value_name = "NAME", env = "USER", hide_env_values = true)]
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Way {
    /// A browser asks for name and password
    Basic,
    /// A token in the header Authorization, for programs
    Bearer,
    /// A proxy has logged people in and says who they are in a header
    Proxy,
}

impl Dashboard {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let auth = self.auth()?;
        let mut stops = Stops::listen()?;
        let pool = database.connect().await?;
        check_schema(&mut *pool.acquire().await?).await?;
        // A page that says so beats one that hangs: a probe waits a second or two.
        let options = (*pool.connect_options()).clone().application_name("haulage dashboard");
        let few = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let replica = self.replica.pool(&pool, few.clone()).await?;
        let pool = few.connect_lazy_with(options);
        let pool = if self.read_only { read_only(&pool) } else { pool };
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("can't listen on {}; choose another address with --listen", self.listen))?;
        remark(&format!("the dashboard is at http://{}/; stop it with Ctrl-C", listener.local_addr()?));
        let dashboard = dashboard::Dashboard::new(pool);
        let router = replica.into_iter().fold(dashboard, dashboard::Dashboard::replica).router();
        let router = match auth {
            Some(auth) => auth.protect(router),
            None if self.insecure_no_auth => router,
            // Whoever is on this machine can do all that by the command, too.
            None => {
                let name = self.name.filter(|name| !name.is_empty()).unwrap_or_else(|| "somebody on this machine".to_owned());
                only_local(router.layer(Extension(Identity { name, role: Role::Admin })))
            }
        };
        let (tell, told) = oneshot::channel::<()>();
        let serving =
            axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).with_graceful_shutdown(async move {
                stops.next().await;
                drop(tell);
            });
        tokio::select! {
            served = serving.into_future() => served.context("the dashboard stopped"),
            // Pages that are watched live hold their connections.
            () = async { told.await.ok(); tokio::time::sleep(LAST_ANSWERS).await } => Ok(()),
        }
    }

    /// The log-in that was asked for. None only on this machine, or if somebody insists.
    fn auth(&self) -> anyhow::Result<Option<Auth>> {
        let (has_credentials, has_proxy) =
            (self.credentials.is_some() || self.credentials_text.is_some(), !self.trusted_proxy.is_empty() || self.names_headers());
        let Some(way) = self.auth else {
            // Whoever names who may come does not want it open to all.
            if has_credentials {
                bail!(
                    "there are credentials (--credentials, or HAULAGE_DASHBOARD_CREDENTIALS) and no --auth: say --auth basic or --auth bearer"
                );
            }
            if has_proxy {
                bail!("--trusted-proxy, --user-header and groups need --auth proxy");
            }
            if self.listen.ip().is_loopback() || self.insecure_no_auth {
                return Ok(None);
            }
            bail!(
                "{} can be reached from other machines, so the dashboard wants a log-in: --auth basic --credentials FILE (or bearer, or proxy); \
                 use 127.0.0.1:{} for this machine only, or --insecure-no-auth to show every job to whoever comes",
                self.listen,
                self.listen.port()
            );
        };
        match way {
            Way::Basic | Way::Bearer if has_proxy => {
                bail!("--trusted-proxy, --user-header and groups are for --auth proxy only; leave them out, or choose it")
            }
            Way::Proxy if has_credentials => {
                bail!(
                    "--auth proxy takes no credentials: leave out --credentials and HAULAGE_DASHBOARD_CREDENTIALS, or choose basic or bearer"
                )
            }
            _ => {}
        }
        let auth = match way {
            Way::Basic => Auth::basic(&self.lines()?)?,
            Way::Bearer => Auth::bearer(&self.lines()?)?,
            Way::Proxy => Auth::proxy(self.trusted_proxy.clone(), self.user_header.as_deref().unwrap_or("X-Forwarded-User"))
                .context("name its address with --trusted-proxy")?
                .with_groups(self.groups_header.as_deref().unwrap_or("X-Forwarded-Groups"), self.groups())?,
        };
        Ok(Some(auth))
    }

    fn names_headers(&self) -> bool {
        self.user_header.is_some() || self.groups_header.is_some() || !self.groups().is_empty()
    }

    fn groups(&self) -> Vec<(String, Role)> {
        let with = |groups: &[String], role: Role| groups.iter().map(move |group| (group.clone(), role)).collect::<Vec<_>>();
        [with(&self.operator_group, Role::Operator), with(&self.admin_group, Role::Admin)].concat()
    }

    fn lines(&self) -> anyhow::Result<String> {
        match (&self.credentials, &self.credentials_text) {
            (Some(file), _) => fs::read_to_string(file).with_context(|| format!("can't read the credentials in {}", file.display())),
            (None, Some(text)) => Ok(text.clone()),
            (None, None) => {
                bail!("who may log in? name a file of lines NAME:SECRET with --credentials, or set HAULAGE_DASHBOARD_CREDENTIALS")
            }
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "give an address and a port, such as 127.0.0.1:8090".to_owned())
}
