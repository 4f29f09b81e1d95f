//! `haulage-worker --config FILE`: the worker of `haulage work` and nothing else, for images that need no other command.
//!
//! Exit codes: 0 stopped in order, or the file is right (`--check`); 1 failed, with one line on standard error; 2 wrong command line.

#[cfg(unix)]
#[tokio::main]
async fn main() -> std::process::ExitCode {
    unix::main().await
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {
    use std::{error::Error, io::Write, path::PathBuf, process::ExitCode, time::Duration};

    use clap::Parser;
    use haulage_worker::exec::{Config, log_to_stderr};
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

    /// Runs the jobs of the kinds that a config file names, as programs or HTTP calls
    #[derive(Debug, Parser)]
    #[command(name = "haulage-worker", version)]
    struct Options {
        /// The config file, in TOML
        #[arg(long, value_name = "FILE")]
        config: PathBuf,

        /// Only say whether the file is right
        #[arg(long)]
        check: bool,

        /// The database, as postgres://user:password@host:5432/database; better given by the environment variable
        #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
        database_url: Option<String>,
    }

    #[expect(clippy::print_stderr, reason = "an error is the last thing this program says")]
    pub(super) async fn main() -> ExitCode {
        match run(Options::parse()).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("haulage-worker: {}", one_line(&*error));
                ExitCode::FAILURE
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a program reads its environment")]
    async fn run(options: Options) -> Result<(), Box<dyn Error>> {
        let config = Config::read(&options.config, &|name| std::env::var_os(name))?;
        if options.check {
            std::io::stdout().write_all(config.summary().as_bytes())?;
            return Ok(());
        }
        log_to_stderr(std::env::var("RUST_LOG").ok().as_deref());
        let url = options.database_url.filter(|url| !url.is_empty()).ok_or("which database? set DATABASE_URL or pass --database-url")?;
        // The driver itself takes any scheme.
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("the database URL is not one of Postgres: it should look like postgres://user:password@host:5432/database".into());
        }
        let url: PgConnectOptions = url.parse()?;
        // Handlers of a config file use no connection; the runtime makes its own.
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(10)).connect_lazy_with(url);
        config.run(pool).await?;
        Ok(())
    }

    /// The error with its sources; one that its source says already is not said twice.
    fn one_line(error: &dyn Error) -> String {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let said = error.to_string();
            if !text.ends_with(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            source = error.source();
        }
        text.split(char::is_control).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}
