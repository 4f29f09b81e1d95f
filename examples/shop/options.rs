//! What the command line and the environment say. A flag wins over the environment.

use std::{collections::HashMap, path::PathBuf, str::FromStr};

use anyhow::{Context, bail};

const USAGE: &str = "\
usage: shop COMMAND [--FLAG VALUE]...

  demo      everything at once, with a private Postgres
  web       the shop
  worker    runs the jobs; start as many as you like
  outside   the world the jobs talk to: an SMTP catcher and a flaky stock partner
  incidents ten things that go wrong, to see on the dashboard; `demo --incidents` starts it too
  courier   a worker of one queue, which `incidents` kills now and then

  flag             environment         default
  --database-url   DATABASE_URL        (demo: its own server)
  --port           SHOP_PORT           8080    the shop
  --smtp-port      SHOP_SMTP_PORT      2525    the catcher, for mail
  --mails-port     SHOP_MAILS_PORT     8025    the catcher, for browsers
  --partner-port   SHOP_PARTNER_PORT   8026    the stock partner
  --orders         SHOP_ORDERS         200000  past orders to make up for an empty shop
  --data-dir       SHOP_DATA_DIR       .haulage/demo
  --incidents                          demo: with ten things that go wrong
  --with-parent                        exit when standard input closes";

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Demo,
    Web,
    Worker,
    Outside,
    Incidents,
    Courier,
    Help,
}

impl Command {
    /// The name under which its traces, metrics and logs go.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Web => "shop-web",
            Self::Worker => "shop-worker",
            Self::Outside => "shop-outside",
            Self::Incidents => "shop-incidents",
            Self::Courier => "shop-courier",
            Self::Demo | Self::Help => "shop-demo",
        }
    }
}

/// All settings of all commands; each uses what it needs.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) database_url: Option<String>,
    pub(crate) port: u16,
    pub(crate) smtp_port: u16,
    pub(crate) mails_port: u16,
    pub(crate) partner_port: u16,
    pub(crate) orders: i32,
    pub(crate) data_dir: PathBuf,
    pub(crate) incidents: bool,
    pub(crate) with_parent: bool,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let command = match args.next().as_deref() {
            Some("demo") => Command::Demo,
            Some("web") => Command::Web,
            Some("worker") => Command::Worker,
            Some("outside") => Command::Outside,
            Some("incidents") => Command::Incidents,
            Some("courier") => Command::Courier,
            Some("help" | "--help" | "-h") => Command::Help,
            Some(other) => bail!("there is no command \"{other}\"\n\n{USAGE}"),
            None => bail!("say what to run\n\n{USAGE}"),
        };
        let mut source = Source::read(args)?;
        let options = Self {
            command,
            database_url: source.take("database-url", "DATABASE_URL")?,
            port: source.take("port", "SHOP_PORT")?.unwrap_or(8080),
            smtp_port: source.take("smtp-port", "SHOP_SMTP_PORT")?.unwrap_or(2525),
            mails_port: source.take("mails-port", "SHOP_MAILS_PORT")?.unwrap_or(8025),
            partner_port: source.take("partner-port", "SHOP_PARTNER_PORT")?.unwrap_or(8026),
            orders: source.take("orders", "SHOP_ORDERS")?.unwrap_or(200_000),
            data_dir: source.take("data-dir", "SHOP_DATA_DIR")?.unwrap_or_else(|| PathBuf::from(".haulage/demo")),
            incidents: source.incidents,
            with_parent: source.with_parent,
        };
        match source.flags.keys().next() {
            Some(unknown) => bail!("there is no flag \"--{unknown}\"\n\n{USAGE}"),
            None => Ok(options),
        }
    }
}

#[expect(clippy::print_stdout, reason = "the user asked for it")]
pub(crate) fn print_usage() {
    println!("{USAGE}");
}

/// The flags not yet asked for.
struct Source {
    flags: HashMap<String, String>,
    incidents: bool,
    with_parent: bool,
}

impl Source {
    fn read(mut args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut source = Self { flags: HashMap::new(), incidents: false, with_parent: false };
        while let Some(arg) = args.next() {
            let Some(flag) = arg.strip_prefix("--") else {
                bail!("expected a flag, found \"{arg}\"\n\n{USAGE}");
            };
            match flag {
                "incidents" => source.incidents = true,
                "with-parent" => source.with_parent = true,
                _ => {
                    let value = args.next().with_context(|| format!("\"{arg}\" needs a value"))?;
                    source.flags.insert(flag.to_owned(), value);
                }
            }
        }
        Ok(source)
    }

    fn take<T>(&mut self, flag: &str, variable: &str) -> anyhow::Result<Option<T>>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        let (name, text) = if let Some(text) = self.flags.remove(flag) {
            (format!("--{flag}"), text)
        } else if let Some(text) = std::env::var_os(variable).filter(|text| !text.is_empty()) {
            (variable.to_owned(), text.to_string_lossy().into_owned())
        } else {
            return Ok(None);
        };
        let value = text.parse().with_context(|| format!("\"{text}\" is no value for {name}"))?;
        Ok(Some(value))
    }
}
