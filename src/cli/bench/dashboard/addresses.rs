//! What is asked for of each path: once where there is one thing to see, and in the ways that people look for jobs where there are many.

use super::world::World;

/// From the root of the dashboard. `None`: nobody has thought of this path yet.
pub(super) fn addresses(path: &str, world: &World) -> Option<Vec<String>> {
    let World { finished, old_trace, new_trace, old_request, fingerprint, operation, day } = world;
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    // The numbers of the statement that makes unfinished jobs: one of each sort.
    let unfinished: Vec<i64> = [100, 601, 603, 620, 700, 810, 965, 985, 995].iter().map(|number| finished + number).collect();
    // One that completed, one that died, one that was cancelled, each long ago and today.
    let ended = [finished / 100 * 30 + 5, finished / 100 * 30, finished / 100 * 30 + 101, finished - 45, finished - 50, finished - 99];
    let jobs = unfinished.into_iter().chain(ended);
    let family = finished / 12 / 2 * 12;
    Some(match path {
        "/" => texts(&[""]),
        "/overview" => texts(&["overview?range=6h", "overview?range=24h", "overview?range=7d"]),
        "/jobs" => {
            let mut all: Vec<String> = ["", "scheduled", "available", "running", "parked", "completed", "dead", "cancelled"]
                .iter()
                .map(|state| format!("jobs?state={state}"))
                .collect();
            let searches = [
                "queue%3Aqueue-01".to_owned(),
                "kind-39".to_owned(),
                "kind-39+state%3Adead".to_owned(),
                "tag%3A%22tenant+1000%22".to_owned(),
                "error%3A%22did+not+answer%22".to_owned(),
                "age%3A%3E1h".to_owned(),
                format!("error%3A{fingerprint}"),
                format!("root%3A{family}"),
                format!("parent%3A{family}"),
                format!("finished%3A{day}"),
                format!("created%3A{day}"),
            ];
            all.extend(searches.iter().map(|search| format!("jobs?q={search}")));
            all.push(format!("jobs?before={}", finished / 2));
            all.push(format!("jobs?state=dead&before={}", finished / 2));
            all
        }
        "/jobs/{id}" => jobs.map(|id| format!("jobs/{id}")).collect(),
        "/queues/{*name}" => texts(&["queues/queue-00", "queues/queue-05", "queues/queue-00?range=7d", "queues/unserved"]),
        "/workers/{id}" => texts(&["workers/3"]),
        "/schedules/{*name}" => texts(&["schedules/schedule-007"]),
        "/traces" => texts(&["traces", "traces?show=failed", "traces?show=unfinished", "traces?show=slow"]),
        "/traces/{*key}" => [old_trace, new_trace, old_request].iter().map(|key| format!("traces/{key}")).collect(),
        "/errors" => texts(&["errors", "errors?kind=kind-07"]),
        "/errors/{fingerprint}" => vec![format!("errors/{fingerprint}")],
        "/operations/{id}" => vec![format!("operations/{operation}")],
        "/audit" => texts(&["audit", "audit?who=ana", "audit?target=queue+queue-05"]),
        "/act" => vec![
            format!("act?of=job&act=retry&id={}", finished - 50),
            "act?of=jobs&act=retry&state=dead".to_owned(),
            "act?of=queue&act=pause&name=queue-01".to_owned(),
        ],
        "/stuck" | "/queues" | "/workers" | "/schedules" | "/settings" | "/operations" | "/health" | "/metrics" => {
            vec![path[1..].to_owned()]
        }
        path => {
            let api = path.strip_prefix("/api/v1/")?;
            let one = |rest: &str| vec![format!("api/v1/{rest}")];
            match api {
                "jobs" => ["", "?state=dead", "?kind=kind-39", "?queue=queue-01&limit=200", "?tag=tenant+1000"]
                    .iter()
                    .map(|query| format!("api/v1/jobs{query}"))
                    .collect(),
                "jobs/{id}" | "jobs/{id}/why" => jobs.map(|id| format!("api/v1/{}", api.replace("{id}", &id.to_string()))).collect(),
                "jobs/{id}/attempts" | "jobs/{id}/logs" => one(&api.replace("{id}", &(finished - 50).to_string())),
                "jobs/{id}/trace" | "jobs/{id}/related" => one(&api.replace("{id}", &family.to_string())),
                "traces/{id}" => [old_trace, new_trace].iter().map(|key| format!("api/v1/traces/{key}")).collect(),
                "queues/{name}" => one("queues/queue-00"),
                "workers/{id}" => one("workers/3"),
                "schedules/{name}" | "schedules/{name}/runs" => one(&api.replace("{name}", "schedule-007")),
                "operations/{id}" => one(&format!("operations/{operation}")),
                "overview" | "causes" | "queues" | "keys" | "workers" | "schedules" | "operations" | "audit" | "openapi.json" => one(api),
                _ => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_that_is_read_has_an_address() {
        let text = || "x".to_owned();
        let world = World {
            finished: 10_000,
            old_trace: text(),
            new_trace: text(),
            old_request: text(),
            fingerprint: text(),
            operation: 1,
            day: chrono::NaiveDate::default(),
        };
        for path in haulage::dashboard::read_paths() {
            assert!(addresses(&path, &world).is_some_and(|places| !places.is_empty()), "nobody asks for {path}");
        }
    }
}
