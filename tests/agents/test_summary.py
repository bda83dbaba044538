"""Final returns and MMER, by hand."""

import json

from agents.runs import summary


def run(*returns):
    return [{"return": {"a": x, "b": x}} for x in returns]


def test_final_is_the_end_and_mmer_the_best_update_mean_over_seeds():
    # 40 updates: the last two are the end. A line of which a task has no return is no line.
    first = run(*[0.0] * 36, 9.0, 0.0, 1.0, 3.0)
    second = [*run(*([5.0] * 40)), {"return": {"a": 100.0, "b": None}}]
    result = summary.summarise([first, second])
    assert result["final_return_by_seed"] == [2.0, 5.0]
    assert result["final_return"] == 3.5 and result["mmer"] == (9.0 + 5.0) / 2
    assert result["seeds"] == 2 and "Optimistic" in result["mmer_is"]


def test_tasks_count_alike():
    assert summary.mean_return({"return": {"a": 1.0, "b": 5.0}}) == 3.0


def write(path, lines):
    path.mkdir()
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_every_seed_has_its_summary_and_the_line_tells_of_all(tmp_path):
    paths = [write(tmp_path / "a", run(1.0, 3.0)), write(tmp_path / "b", run(7.0, 5.0))]
    assert summary.write(paths).startswith("return: 4 at the end")
    results = [json.loads((path / "summary.json").read_text()) for path in paths]
    assert [x["final_return"] for x in results] == [3.0, 5.0]
    assert [x["mmer"] for x in results] == [3.0, 7.0]


def test_a_run_without_returns_has_no_summary(tmp_path):
    path = write(tmp_path / "run", run(None))
    assert "no return" in summary.write([path])
    assert [file.name for file in path.iterdir()] == ["metrics.jsonl"]
