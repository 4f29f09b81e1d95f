//! The version before, built from git by `.ci/previous`: its processes are in the fleet, and its schema is what the run begins with.

use std::path::{Path, PathBuf};

use sqlx::{PgPool, migrate::Migrator};

#[derive(Debug, Clone)]
pub(crate) struct Previous {
    /// The fault runs of that version: their workers and enqueuers have a library of that version in them.
    pub(crate) program: PathBuf,
    migrations: PathBuf,
}

/// How the names of its processes end.
pub(crate) const MARK: &str = "-before";

impl Previous {
    /// What lies in this folder.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let (program, migrations) = (std::path::absolute(folder.join("faults"))?, folder.join("migrations"));
        anyhow::ensure!(program.exists() && migrations.exists(), "{} is not what .ci/previous makes", folder.display());
        Ok(Self { program, migrations })
    }

    /// Makes its schema, on which this version must refuse to work.
    pub(crate) async fn migrate(&self, pool: &PgPool) -> anyhow::Result<()> {
        let mut migrator = Migrator::new(self.migrations.as_path()).await?;
        migrator.create_schema("haulage");
        migrator.dangerous_set_table_name("haulage.migrations");
        migrator.run(pool).await?;
        let worker = haulage::Worker::builder(pool.clone()).queue("work", 1).handle(|_: crate::job::Tick| async {}).build()?.start().await;
        match worker {
            Err(haulage::RunError::Schema(haulage::SchemaError::TooOld { .. })) => Ok(()),
            Err(other) => anyhow::bail!("a worker of this version refuses the schema of the version before with {other:?}"),
            Ok(worker) => {
                worker.shutdown().await;
                anyhow::bail!("a worker of this version works with a schema that is older: has the version before another schema at all?")
            }
        }
    }
}
