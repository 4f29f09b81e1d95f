//! `haulage keys`.

use haulage::{KeyLimit, class_keys, key_limits};

use super::{
    NotFound,
    connect::DatabaseUrl,
    limit::{LimitOptions, shown},
    operator::By,
    output::{print, print_json, remark, safe, time},
    table::table,
};

/// Lists and sets the limits of keys that jobs share, such as tenant:42
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage keys limit 'tenant:*' --max 3
  haulage keys limit tenant:42 --max 10 --rate 600/1m
  haulage keys list
  haulage keys unlimit tenant:42")]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists the limits, and how full those of single keys are; of a class such as 'tenant:*' the keys that have jobs
    #[command(after_help = "\
Examples:
  haulage keys list
  haulage keys list --json | jq '.[] | select(.waiting > 0) | .key'")]
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Sets the limits of a key, all of them anew
    #[command(after_help = "\
Examples:
  haulage keys limit 'tenant:*' --max 3
  haulage keys limit tenant:42 --max 10 --rate 600/1m --reason 'they pay for more'")]
    Limit {
        /// The key; 'word:*' sets those of every key that begins with 'word:' and has none of its own
        key: String,
        #[command(flatten)]
        limit: LimitOptions,
        #[command(flatten)]
        by: By,
    },
    /// Takes the limits of a key away
    #[command(after_help = "\
Examples:
  haulage keys unlimit tenant:42 --reason 'the contract has ended'")]
    Unlimit {
        key: String,
        #[command(flatten)]
        by: By,
    },
}

impl Keys {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let pool = database.connect().await?;
        match self.command {
            Command::List { json } => {
                let mut limits = key_limits(&pool).await?;
                let of_classes = class_keys(&pool, MOST_OF_CLASSES).await?;
                let cut_off = of_classes.len() == usize::from(MOST_OF_CLASSES);
                limits.extend(of_classes);
                limits.sort_by(|a, b| a.key.cmp(&b.key));
                if cut_off {
                    remark(&format!("of keys without a limit of their own {MOST_OF_CLASSES} are listed, those with waiting jobs first"));
                }
                if json {
                    return print_json(&limits);
                }
                if limits.is_empty() {
                    return print("no limits\n");
                }
                let rows: Vec<_> = limits.iter().map(row).collect();
                print(&table(["KEY", "LIMIT", "LET IN", "WAITING", "SET BY", "AT"], &rows))
            }
            Command::Limit { key, limit, by } => {
                by.operator()?.limit_key(&pool, &key, limit.limit()).await?;
                print(&format!("{key}: {}\n", shown(&limit.limit())))
            }
            Command::Unlimit { key, by } => {
                if !by.operator()?.unlimit_key(&pool, &key).await? {
                    return Err(NotFound(format!("the key \"{key}\" has no limit of its own")).into());
                }
                print(&format!("{key} has no limit of its own\n"))
            }
        }
    }
}

/// Keys that only their class limits: a list for people.
const MOST_OF_CLASSES: u16 = 100;

fn row(limit: &KeyLimit) -> [String; 6] {
    let class = limit.class.as_ref().map(|class| format!(", as {class}")).unwrap_or_default();
    [
        limit.key.clone(),
        shown(&limit.limit) + &class,
        limit.admitted.map(|n| n.to_string()).unwrap_or_default(),
        limit.waiting.map(|n| n.to_string()).unwrap_or_default(),
        limit.set_by.as_deref().map(safe).unwrap_or_default(),
        time(limit.updated_at),
    ]
}
