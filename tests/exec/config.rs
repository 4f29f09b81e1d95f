//! What a config file may not say, and that it is refused before anything is claimed.

use haulage::exec::Config;

use super::{Folder, environment};

#[test]
fn a_mistake_is_answered_with_one_line_that_names_file_place_and_value() {
    let folder = Folder::new();
    folder.write("data.txt", "");
    let ok = "[queues]\ndefault = 5\n";
    for (text, place, needles) in [
        ("[queues]\ndefault = 5\n[kinds.a]\ncomand = [\"true\"]".to_owned(), "worker.toml:4: ", &["`comand`", "`command`"][..]),
        ("[queue]\ndefault = 5".to_owned(), "worker.toml:1: ", &["`queue`", "`queues`"]),
        ("[queues]\ndefault = 5\n[kinds.a]\ncommand = \"true\"".to_owned(), "worker.toml:4: ", &["\"true\"", "sequence"]),
        ("[queues\n".to_owned(), "worker.toml:1: ", &[]),
        ("[queues]\ndefault = -1".to_owned(), "worker.toml:2: ", &["-1"]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\ntimeout = \"5\""), "worker.toml:5: ", &["\"5\"", "\"90s\""]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\ntimeout = \"0s\""), "worker.toml:5: ", &["\"0s\"", "\"1ms\""]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\ntimeout = 5"), "worker.toml:5: ", &["`5`"]),
        ("[kinds.a]\ncommand = [\"true\"]".to_owned(), "queues: ", &["default = 50"]),
        (ok.to_owned(), "kinds: ", &["[kinds.send_email]"]),
        ("[queues]\ndefault = 0\n[kinds.a]\ncommand = [\"true\"]".to_owned(), "queues.default: ", &["0 at once", "1 to 100000"]),
        ("[queues]\n\"my queue\" = 5\n[kinds.a]\ncommand = [\"true\"]".to_owned(), "queues.my queue: ", &["\"my queue\"", "1 to 128"]),
        (format!("{ok}[kinds.\"a b\"]\ncommand = [\"true\"]"), "kinds.a b: ", &["\"a b\"", "1 to 128"]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\nurl = \"https://example.org\""), "kinds.a: ", &["both `command` and `url`"]),
        (format!("{ok}[kinds.a]\ntimeout = \"5s\""), "kinds.a: ", &["neither `command` nor `url`"]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\nsecret_env = \"X\""), "kinds.a.secret_env: ", &["`url`"]),
        (format!("{ok}[kinds.a]\nurl = \"https://example.org\"\nmemory_mb = 5"), "kinds.a.memory_mb: ", &["`command`"]),
        (format!("{ok}[kinds.a]\ncommand = []"), "kinds.a.command: ", &["empty"]),
        (format!("{ok}[kinds.a]\ncommand = [\"pythn3\", \"x.py\"]"), "kinds.a.command: ", &["\"pythn3\"", "PATH"]),
        (format!("{ok}[kinds.a]\ncommand = [\"./nowhere\"]"), "kinds.a.command: ", &["nowhere\"", "No such file"]),
        (format!("{ok}[kinds.a]\ncommand = [\"./data.txt\"]"), "kinds.a.command: ", &["data.txt\"", "executable"]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\ncwd = \"nowhere\""), "kinds.a.cwd: ", &["nowhere\"", "not a folder"]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\nmemory_mb = 0"), "kinds.a.memory_mb: ", &["0 is too little"]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\nrevision = 40000"), "kinds.a.revision: ", &["40000", "0 to 32767"]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\nkill_grace = \"1m\""), "kinds.a.kill_grace: ", &["60s", "up to 4s"]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\nenv = {{ \"A=B\" = \"c\" }}"), "kinds.a.env: ", &["\"A=B\""]),
        (format!("{ok}[kinds.a]\ncommand = [\"true\"]\npass_env = [\"HAULAGE_JOB_ID\"]"), "kinds.a.pass_env: ", &["HAULAGE_JOB_ID"]),
        (format!("{ok}[kinds.a]\nurl = \"example.org/hook\""), "kinds.a.url: ", &["https://example.org/hook"]),
        (format!("{ok}[kinds.a]\nurl = \"https://me:x@example.org\""), "kinds.a.url: ", &["user or password", "`secret_env`"]),
        (format!("{ok}[kinds.a]\nurl = \"ftp://example.org\""), "kinds.a.url: ", &["\"ftp\""]),
        (format!("{ok}[kinds.a]\nurl = \"http://169.254.169.254/\""), "kinds.a.url: ", &["169.254.169.254", "link-local", "allow_private"]),
        (format!("{ok}[kinds.a]\nurl = \"https://example.org\"\nsecret_env = \"NOPE\""), "kinds.a.secret_env: ", &["\"NOPE\"", "not set"]),
        (format!("{ok}[kinds.a]\nurl = \"https://example.org\"\nsecret_env = \"EMPTY_SECRET\""), "kinds.a.secret_env: ", &["is empty"]),
    ] {
        let file = folder.write("worker.toml", &text);
        let error = Config::read(&file, &environment).expect_err(&text).to_string();
        assert!(error.contains(place) && error.contains("worker.toml") && error.lines().count() == 1, "{text}\n{error}");
        assert!(needles.iter().all(|needle| error.contains(needle)), "{text}\n{error}");
    }
    let error = Config::read(&folder.path("none.toml"), &environment).unwrap_err().to_string();
    assert!(error.contains("none.toml"), "{error}");
}

#[test]
fn a_program_is_found_beside_the_file_and_in_the_path_that_it_will_see() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("bin")).unwrap();
    std::fs::copy("/bin/sh", folder.path("bin/own-shell")).unwrap();
    for (command, more) in [("bin/own-shell", ""), ("own-shell", "env = { PATH = \"bin\" }"), ("./own-shell", "cwd = \"bin\"")] {
        let file = folder.write("worker.toml", &format!("[queues]\ndefault = 1\n[kinds.a]\ncommand = [\"{command}\"]\n{more}"));
        let summary = Config::read(&file, &environment).unwrap_or_else(|error| panic!("{error}")).summary();
        assert!(summary.contains("a: runs") && summary.contains("own-shell"), "{summary}");
    }
}
