//! The files in `examples/deploy` that are no SQL of their own: the YAML parses, names what is there, and its queries run.

use std::{path::Path, process::Command};

use haulage::{Job, enqueue_all};
use serde_json::Value;

use crate::support::{Count, database};

/// The documents of a file, read by PyYAML, which `make setup` puts into `target/clients`.
fn documents(name: &str) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3")
        .args(["-c", "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)"])
        .arg(root.join("examples/deploy/kubernetes").join(name))
        .env("PYTHONPATH", root.join("target/clients/python"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}\nis `make setup` done?", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_yaml_file_parses_and_the_scaler_and_the_budget_mean_the_worker() {
    let worker = documents("worker.yaml");
    let [deployment, budget] = &worker[..] else { panic!("{worker:#?}") };
    let pod = &deployment["spec"]["template"];
    assert_eq!(budget["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"]);
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"]);
    // The grace period of 25 s, and what blocking handlers may cost.
    assert!(pod["spec"]["terminationGracePeriodSeconds"].as_u64() >= Some(45 + 1));

    let scaler = documents("scaler.yaml");
    assert_eq!(scaler[0]["spec"]["scaleTargetRef"]["name"], deployment["metadata"]["name"]);
    assert!(scaler[0]["spec"]["minReplicaCount"].as_u64() >= Some(1));
    for trigger in scaler[0]["spec"]["triggers"].as_array().unwrap() {
        assert_eq!(trigger["authenticationRef"]["name"], scaler[1]["metadata"]["name"]);
    }
    assert_eq!(documents("migrate.yaml")[0]["kind"], "Job");
    assert_eq!(documents("web.yaml")[0]["kind"], "Deployment");
}

#[tokio::test]
async fn the_scalers_queries_give_the_depth_and_the_age_of_the_queue_by_its_index() {
    let pool = database().await.pool();
    let scaler = documents("scaler.yaml");
    let queries: Vec<String> = scaler[0]["spec"]["triggers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trigger| trigger["metadata"]["query"].as_str().unwrap().to_owned())
        .collect();
    let ask = async |query: &String| -> i64 {
        let row = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT ({query})::bigint"))).fetch_one(&pool).await;
        row.unwrap_or_else(|error| panic!("{query}: {error}"))
    };
    assert_eq!((ask(&queries[0]).await, ask(&queries[1]).await), (0, 0));

    enqueue_all(&pool, (0..3).map(|n| Count { n })).await.unwrap();
    Count { n: 4 }.with().queue("other").enqueue(&pool).await.unwrap();
    Count { n: 5 }.with().delay(std::time::Duration::from_secs(60)).enqueue(&pool).await.unwrap();
    sqlx::query("UPDATE haulage.live_jobs SET eligible_at = now() - interval '90 seconds' WHERE args ->> 'n' = '2'")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("UPDATE haulage.live_jobs SET eligible_at = now() - interval '100 seconds' WHERE args ->> 'n' = '0'")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(ask(&queries[0]).await, 3);
    assert!((99..110).contains(&ask(&queries[1]).await));

    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("SET enable_seqscan = off").execute(&mut *connection).await.unwrap();
    for query in &queries {
        let plan: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN {query}"))).fetch_all(&mut *connection).await.unwrap();
        assert!(plan.iter().any(|line| line.contains("live_jobs_line")), "{plan:#?}");
    }
    sqlx::query("RESET enable_seqscan").execute(&mut *connection).await.unwrap();
}
