"""What each kind of engine's answers mean."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import FIGURES
from blackbox.sources.engines.adapters import ADAPTERS
from tests.genuine import case, sample
from tests.recorded_engines import Recording, recorded

READ = {adapter.kind: adapter.read for adapter in ADAPTERS}


def engines(kind: str, visit: Recording) -> list[InferenceEngine]:
    found = READ[kind](visit)
    assert found is not None
    return [one.engine for one in found]


def of_page(kind: str, name: str) -> list[InferenceEngine]:
    return engines(kind, Recording(metrics=recorded(name)))


def figures(engine: InferenceEngine, *noted: str) -> dict[str, object]:
    """The known ones; each other has a reason, and so have those that are not what they seem."""
    known = {field: value for field in FIGURES if (value := getattr(engine, field)) is not None}
    assert set(engine.unknown) == set(FIGURES) - set(known) | set(noted)
    return known


def genuine(name: str) -> list[InferenceEngine]:
    return engines("vllm", Recording(metrics=sample(f"vllm-0.32.0-{name}.prom").read_bytes()))


@pytest.mark.parametrize(
    ("name", "total", "used", "running", "waiting", "preemptions"),
    [
        ("idle", 96, 0, 0, 0, 0),
        ("busy", 96, 82, 7, 0, 0),
        ("after", 96, 0, 0, 0, 0),
        ("kvmetrics-idle", 64, 0, 0, 0, 0),
        ("kvmetrics-busy", 64, 62, 5, 19, 0),
        ("kvmetrics-after", 64, 0, 0, 0, 21),
    ],
)
def test_a_genuine_vllm(name: str, total: int, used: int, running: int, waiting: int, preemptions: int) -> None:
    (engine,) = genuine(name)
    known = figures(engine)
    assert engine.model == "tiny"
    assert known["kv_pages_total"] == total
    assert known["kv_pages_used"] == used
    assert known["requests_running"] == running
    assert known["requests_waiting"] == waiting
    assert known["preemptions_total"] == preemptions


def test_a_genuine_vllm_tells_its_hits_once_there_are_any() -> None:
    assert genuine("idle")[0].prefix_hit_ratio is None
    assert genuine("busy")[0].prefix_hit_ratio == 1056 / 2052


def test_each_genuine_data_parallel_engine_has_its_own_pool_not_the_sum() -> None:
    first, second = genuine("dp2-busy")
    assert (first.kv_pages_total, first.kv_pages_used) == (96, 61)
    assert (second.kv_pages_total, second.kv_pages_used) == (96, 89)


def test_no_genuine_vllm_tells_cached_pages() -> None:
    assert [genuine(name)[0].kv_pages_cached for name in ("busy", "after")] == [None, None]


def test_vllm_v0_counts_usage_of_the_whole_pool() -> None:
    (engine,) = of_page("vllm", "vllm-v0.prom")
    assert figures(engine) == {
        "kv_pages_total": 1000,
        "kv_pages_used": 251,
        "kv_usage_ratio": 0.251,
        "prefix_hit_ratio": 0.625,
        "requests_running": 3,
        "requests_waiting": 1,
        "preemptions_total": 4,
    }


def test_early_vllm_v1_counts_the_null_page_as_used_and_we_do_not() -> None:
    (engine,) = of_page("vllm", "vllm-v1-early.prom")
    assert (engine.kv_pages_total, engine.kv_pages_used, engine.prefix_hit_ratio) == (1000, 250, 0.25)


def test_vllm_with_old_and_new_names() -> None:
    (engine,) = of_page("vllm", "vllm-v0.10.prom")
    assert (engine.kv_pages_total, engine.kv_pages_used, engine.prefix_hit_ratio) == (1001, 250, 0.25)


def test_a_vllm_with_a_rust_front_end_says_who_knows_the_pages() -> None:
    (engine,) = of_page("vllm", "vllm-rust.prom")
    assert figures(engine) == {
        "kv_usage_ratio": 0.25,
        "prefix_hit_ratio": 0.25,
        "requests_running": 2,
        "requests_waiting": 1,
    }
    assert "Rust front end; the agent inside knows it" in engine.unknown["kv_pages_total"]


@pytest.mark.parametrize(("awake", "sleeping"), [("1.0", False), ("0.0", True), (None, None)])
def test_a_vllm_that_sleeps_says_that_its_pages_are_not_in_memory(awake: str | None, sleeping: bool | None) -> None:
    page = recorded("vllm-v0.10.prom").decode()
    states = [] if awake is None else [("awake", awake), ("weights_offloaded", "0.0"), ("discard_all", "1.0")]
    page += "".join(f'vllm:engine_sleep_state{{engine="0",sleep_state="{state}"}} {on}\n' for state, on in states)
    (engine,) = engines("vllm", Recording(metrics=page.encode()))
    assert (engine.sleeping, engine.kv_pages_total) == (sleeping, 1001)
    assert ("kv_pages_total" in engine.unknown) == (sleeping is True)


def test_a_vllm_that_is_only_paused_does_not_sleep_and_says_what_is_not_known() -> None:
    page = recorded("vllm-v0.10.prom").decode()
    for state in ("awake", "weights_offloaded", "discard_all"):
        page += f'vllm:engine_sleep_state{{engine="0",sleep_state="{state}"}} 0.0\n'
    (engine,) = engines("vllm", Recording(metrics=page.encode()))
    assert (engine.sleeping, engine.kv_pages_total) == (False, 1001)
    assert "paused" in engine.unknown["sleeping"]
    assert "whether its cache was given up" in engine.unknown["kv_pages_total"]


def test_one_line_that_is_none_costs_its_own_figure_alone() -> None:
    broken = "".join(
        'vllm:num_requests_running{model_name="q"w"} 2\n' if line.startswith("vllm:num_requests_running") else line
        for line in recorded("vllm-v0.10.prom").decode().splitlines(keepends=True)
    )
    (engine,) = engines("vllm", Recording(metrics=broken.encode()))
    assert engine.requests_running is None
    assert (engine.kv_pages_total, engine.kv_pages_used, engine.prefix_hit_ratio) == (1001, 250, 0.25)


@pytest.mark.parametrize(
    ("kind", "page", "line", "field"),
    [
        ("tgi", "tgi.prom", "tgi_queue_size", "requests_waiting"),
        ("sglang", "sglang-0.5.23.prom", 'sglang:cached_tokens_total{cache_source="host"', "prefix_hit_ratio"),
        ("sglang", "sglang-0.5.23.prom", "sglang:num_retracted_requests_total", "preemptions_total"),
    ],
)
def test_a_figure_with_a_line_that_cannot_be_read_is_unknown_and_not_less(
    kind: str, page: str, line: str, field: str
) -> None:
    whole = recorded(page).decode()
    assert getattr(engines(kind, Recording(metrics=whole.encode()))[0], field) is not None
    broken = re.sub(rf"(?m)^{re.escape(line)}.*$", line.partition("{")[0] + '{model_name="q"w"} 2', whole)
    (engine,) = engines(kind, Recording(metrics=broken.encode()))
    assert getattr(engine, field) is None
    assert "cannot be read" in engine.unknown[field]


def test_a_vllm_of_whose_states_one_cannot_be_read_is_not_said_to_be_paused() -> None:
    page = recorded("vllm-v0.10.prom").decode()
    page += 'vllm:engine_sleep_state{engine="0",sleep_state="awake"} 0.0\nvllm:engine_sleep_state{model_name="q"w"} 1\n'
    (engine,) = engines("vllm", Recording(metrics=page.encode()))
    assert engine.sleeping is None
    assert "sleeping" not in engine.unknown


def test_a_genuine_vllm_is_awake() -> None:
    assert genuine("busy")[0].sleeping is False


def test_a_vllm_with_no_known_name_is_loudly_unsupported() -> None:
    (engine,) = of_page("vllm", "vllm-unknown.prom")
    assert figures(engine) == {}
    assert all(reason.startswith("unsupported version of vllm: ") for reason in engine.unknown.values())


@given(pages=st.integers(2, 2_000_000), data=st.data(), null=st.booleans())
def test_used_pages_are_exact_whichever_way_a_version_counts(pages: int, data: st.DataObject, null: bool) -> None:
    free = data.draw(st.integers(0, pages - 1))
    usage = 1.0 - free / (pages if null else pages - 1)
    page = f"""vllm:kv_cache_usage_perc{{engine="0"}} {usage!r}
vllm:cache_config_info{{engine="0",num_gpu_blocks="{pages}"}} 1
"""
    (engine,) = engines("vllm", Recording(metrics=page.encode()))
    assert engine.kv_pages_used == pages - 1 - free


def test_in_a_pool_of_a_million_pages_one_is_not_two() -> None:
    usage = 1.0 - 999_975 / 999_976  # less than a millionth off one page without the null page
    page = f'vllm:kv_cache_usage_perc{{engine="0"}} {usage!r}\nvllm:cache_config_info{{num_gpu_blocks="999976"}} 1\n'
    (engine,) = engines("vllm", Recording(metrics=page.encode()))
    assert engine.kv_pages_used == 0


@pytest.mark.parametrize("usage", ["0.12345", "0.999"])
def test_a_usage_that_fits_no_count_of_pages_is_unknown_not_rounded(usage: str) -> None:
    page = f'vllm:kv_cache_usage_perc{{engine="0"}} {usage}\nvllm:cache_config_info{{num_gpu_blocks="96"}} 1\n'
    (engine,) = engines("vllm", Recording(metrics=page.encode()))
    assert engine.kv_pages_used is None
    assert "no whole number of 96 pages" in engine.unknown["kv_pages_used"]


def test_data_parallel_engines_with_unlike_pools_are_unknown_not_averaged() -> None:
    lines = [
        f'vllm:{name}{{engine="{rank}"{labels}}} {value}\n'
        for rank in (0, 1)
        for name, labels, value in (
            ("kv_cache_usage_perc", "", 0.5),
            ("cache_config_info", ',num_gpu_blocks="200",kv_cache_size_tokens="3072",block_size="32"', 1),
        )
    ]
    found = engines("vllm", Recording(metrics="".join(lines).encode()))
    assert [(engine.kv_pages_total, engine.kv_pages_used) for engine in found] == [(None, None)] * 2
    assert "not as many each" in found[0].unknown["kv_pages_total"]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1.5", "1e308"])
@pytest.mark.fault(35)
def test_row_35_a_figure_that_is_no_figure_is_unknown(value: str) -> None:
    text = recorded("vllm-v0.prom").decode().replace(" 0.251", f" {value}").replace(" 3.0", f" {value}")
    (engine,) = engines("vllm", Recording(metrics=text.encode()))
    assert engine.kv_usage_ratio is None
    assert engine.kv_pages_used is None
    assert engine.requests_running is None
    assert engine.requests_waiting == 1


@pytest.mark.parametrize("number", ["9" * 400, str(2**64), "-1", "1e3", "\u0661"])
@pytest.mark.fault(35)
def test_row_35_a_label_that_is_no_count_of_pages_is_unknown(number: str) -> None:
    page = f'vllm:kv_cache_usage_perc{{engine="0"}} 0.5\nvllm:cache_config_info{{num_gpu_blocks="{number}"}} 1\n'
    (engine,) = engines("vllm", Recording(metrics=page.encode()))
    assert (engine.kv_pages_total, engine.kv_pages_used) == (None, None)
    page = f'sglang:token_usage 0.5\nsglang:cache_config_info{{page_size="16",num_pages="{number}"}} 1\n'
    (engine,) = engines("sglang", Recording(metrics=page.encode()))
    assert engine.kv_pages_total is None


def test_sglang_counts_pages_where_their_size_is_told_and_one_rank_of_many() -> None:
    (engine,) = of_page("sglang", "sglang-0.5.23.prom")
    assert figures(engine) == {
        "kv_pages_total": 1000,
        "kv_pages_used": 250,
        "kv_pages_cached": 100,
        "kv_usage_ratio": 0.25,
        "prefix_hit_ratio": 0.25,
        "requests_running": 4,
        "requests_waiting": 2,
        "preemptions_total": 5,
    }
    assert engine.model == "qwen"


def test_sglang_without_page_sizes_has_no_pages() -> None:
    (engine,) = of_page("sglang", "sglang-0.4.prom")
    assert figures(engine) == {"kv_usage_ratio": 0.28, "requests_running": 4, "requests_waiting": 0}
    assert "has no sglang:num_retracted_requests_total" in engine.unknown["preemptions_total"], "nor has the version"
    assert "pages of unknown size" in engine.unknown["kv_pages_used"]


def test_sglang_data_parallel_ranks_are_engines() -> None:
    first, second = of_page("sglang", "sglang-dp2.prom")
    assert (first.kv_pages_total, first.kv_pages_used, first.requests_running) == (10, 1, 1)
    assert (second.kv_pages_total, second.kv_pages_used, second.requests_running) == (10, None, 2)
    assert second.unknown["kv_pages_used"] == "65 tokens are no whole number of pages of 64"
    assert first.unknown["prefix_hit_ratio"] == "counted for 2 engines together"


def test_with_data_parallel_attention_ranks_are_numbered_through_all_engines() -> None:
    """Each engine is told by its first rank, which is 0 in the first engine alone."""
    page = "".join(
        f'sglang:{name}{{dp_rank="{tp // 2}",moe_ep_rank="{tp}",pp_rank="0",tp_rank="{tp}"}} {value}\n'
        for tp in range(8)
        for name, value in (
            ("num_running_reqs", tp),
            ("full_token_usage", tp / 10),
            ("kv_used_tokens", 64 * tp),
            ("page_size", 64),
            ("num_pages", 100),
        )
    )
    found = engines("sglang", Recording(metrics=page.encode()))
    assert [engine.requests_running for engine in found] == [0, 2, 4, 6]
    assert [engine.kv_pages_used for engine in found] == [0, 2, 4, 6]
    assert [engine.kv_pages_total for engine in found] == [100] * 4


def test_the_usage_of_a_hybrid_sglang_is_that_of_the_pool_that_has_the_pages() -> None:
    (engine,) = engines("sglang", Recording(metrics=(case("sglang-hybrid-usage") / "metrics.prom").read_bytes()))
    assert (engine.kv_pages_used, engine.kv_pages_total, engine.kv_usage_ratio) == (100, 1000, 0.1)
    assert "kv_usage_ratio" not in engine.unknown


HYBRID = """sglang:num_running_reqs{tp_rank="0"} 4
sglang:token_usage{tp_rank="0"} 0.9
sglang:num_used_tokens{tp_rank="0"} 1600
sglang:mamba_usage{tp_rank="0"} %s
sglang:cache_config_info{tp_rank="0",page_size="16",num_pages="1000"} 1
"""


@pytest.mark.parametrize(("mamba", "used", "noted"), [("0.9", None, ("kv_usage_ratio",)), ("0.0", 100, ())])
def test_the_fullest_of_several_pools_is_named_as_such_where_a_version_tells_no_other(
    mamba: str, used: int | None, noted: tuple[str, ...]
) -> None:
    (engine,) = engines("sglang", Recording(metrics=(HYBRID % mamba).encode()))
    assert figures(engine, *noted).get("kv_pages_used") == used
    assert engine.kv_usage_ratio == 0.9


def test_what_sglang_has_not_counted_yet_is_0_and_not_unknown() -> None:
    page = "\n".join(line for line in recorded("sglang-0.5.23.prom").decode().splitlines() if "retracted" not in line)
    (engine,) = engines("sglang", Recording(metrics=page.encode()))
    assert engine.preemptions_total == 0
    page = "\n".join(line for line in page.splitlines() if "cached_tokens" not in line)
    (engine,) = engines("sglang", Recording(metrics=page.encode()))
    assert engine.prefix_hit_ratio == 0.0
    page = "\n".join(line for line in page.splitlines() if "prompt_tokens" not in line)
    (engine,) = engines("sglang", Recording(metrics=page.encode()))
    assert engine.prefix_hit_ratio is None, "no request has come yet"
    assert engine.unknown["prefix_hit_ratio"] == "0 of 0 so far"


def test_the_total_of_all_priorities_is_the_line_with_none() -> None:
    page = """sglang:num_running_reqs{model_name="qwen",priority=""} 5
sglang:num_running_reqs{model_name="qwen",priority="0"} 3
sglang:num_running_reqs{model_name="qwen",priority="10"} 2
sglang:num_queue_reqs{model_name="qwen",priority=""} 1
sglang:num_queue_reqs{model_name="qwen",priority="0"} 1
sglang:full_token_usage{model_name="qwen",priority=""} 0.5
sglang:prompt_tokens_total{model_name="qwen",priority="0"} 600
sglang:prompt_tokens_total{model_name="qwen",priority="10"} 400
sglang:cached_tokens_total{model_name="qwen",priority="10",cache_source="device"} 250
"""
    (engine,) = engines("sglang", Recording(metrics=page.encode()))
    assert (engine.requests_running, engine.requests_waiting, engine.kv_usage_ratio) == (5, 1, 0.5)
    assert engine.prefix_hit_ratio == 0.25, "its counters have no total"


def test_triton_with_tensorrt_llm() -> None:
    (engine,) = of_page("triton", "triton-trtllm.prom")
    assert engine.model == "tensorrt_llm"
    assert figures(engine) == {
        "kv_pages_total": 8000,
        "kv_pages_used": 2000,
        "kv_usage_ratio": 0.25,
        "requests_running": 6,
        "requests_waiting": 1,
    }


def test_triton_with_other_backends_is_unsupported_but_for_who_waits() -> None:
    (engine,) = of_page("triton", "triton-plain.prom")
    assert engine.model is None
    assert figures(engine) == {"requests_waiting": 3}
    assert engine.unknown["kv_pages_total"].startswith("unsupported backend of Triton")


@pytest.mark.parametrize(("version", "hits"), [("0.16", 0.25), ("0.10", None)])
def test_the_usage_of_lmdeploy_says_which_things_it_may_be(version: str, hits: float | None) -> None:
    (engine,) = of_page("lmdeploy", f"lmdeploy-{version}.prom")
    known = figures(engine, "kv_usage_ratio")
    assert known.pop("prefix_hit_ratio", None) == hits
    assert known == {"kv_usage_ratio": 0.375, "requests_running": 3, "requests_waiting": 1}
    note = engine.unknown["kv_usage_ratio"]
    assert all(name in note for name in ("PyTorch engine up to 0.17", "PyTorch engine since 0.18", "TurboMind"))
    assert (engine.model, engine.sleeping) == ("qwen", None)


def test_an_lmdeploy_that_has_served_nothing_has_no_ratio_of_hits_and_may_sleep() -> None:
    page = recorded("lmdeploy-0.16.prom").replace(b"2048.0", b"0.0")
    (engine,) = engines("lmdeploy", Recording(metrics=page, is_sleeping=b'{"is_sleeping": true}'))
    assert (engine.prefix_hit_ratio, engine.unknown["prefix_hit_ratio"]) == (None, "0 of 0 so far")
    assert engine.sleeping is True


def test_tensorrt_llm_is_asked_where_it_loses_nothing() -> None:
    visit = Recording(prometheus_metrics=recorded("tensorrt-llm.prom"), metrics=recorded("tensorrt-llm-metrics.json"))
    (engine,) = engines("tensorrt-llm", visit)
    assert figures(engine, "prefix_hit_ratio") == {
        "kv_pages_total": 8000,
        "kv_pages_used": 2000,
        "kv_usage_ratio": 0.25,
        "prefix_hit_ratio": 0.5,
        "requests_running": 6,
        "requests_waiting": 1,
    }
    assert engine.model == "nemotron"
    assert visit.asked == ["/prometheus/metrics"]


def test_a_tensorrt_llm_without_that_page_is_looked_at_once_and_never_again() -> None:
    visit = Recording(metrics=recorded("tensorrt-llm-metrics.json"), version=b'{"version": "1.2.1"}')
    for _ in range(3):
        (engine,) = engines("tensorrt-llm", visit)
        assert figures(engine) == {}
        assert "return_perf_metrics" in engine.unknown["kv_pages_total"]
    assert visit.asked.count("/metrics") == 1


@pytest.mark.parametrize("page", [b"", b"# HELP trtllm_x x\n# TYPE trtllm_x gauge\n"])
def test_a_tensorrt_llm_before_its_first_request_is_not_said_to_lack_its_page(page: bytes) -> None:
    visit = Recording(
        prometheus_metrics=page, metrics=recorded("tensorrt-llm-metrics.json"), version=b'{"version": "1.2.1"}'
    )
    (engine,) = engines("tensorrt-llm", visit)
    assert figures(engine) == {}
    assert "no figure before the first request" in engine.unknown["kv_pages_total"]
    assert "/metrics" not in visit.asked, "which would have been emptied"


def test_an_old_tensorrt_llm_tells_its_model_alone() -> None:
    (engine,) = engines("tensorrt-llm", Recording(prometheus_metrics=recorded("tensorrt-llm-1.0.prom")))
    assert (engine.model, figures(engine)) == ("nemotron", {})


def test_tgi_tells_who_runs_and_who_waits_and_no_pages() -> None:
    (engine,) = engines("tgi", Recording(metrics=recorded("tgi.prom"), info=recorded("tgi-info.json")))
    assert figures(engine) == {"requests_running": 5, "requests_waiting": 2}
    assert engine.model == "meta/llama"
    assert "no pages" in engine.unknown["kv_usage_ratio"]


def test_a_tgi_before_its_first_request_works_on_none() -> None:
    (engine,) = engines("tgi", Recording(metrics=b"tgi_batch_max_total_tokens 16384\n"))
    assert (engine.requests_running, engine.requests_waiting) == (0, 0)


def test_llama_cpp_is_asked_for_its_slots_and_its_metrics_are_left_alone() -> None:
    visit = Recording(slots=recorded("llama-cpp-slots.json"), props=recorded("llama-cpp-props.json"))
    (engine,) = engines("llama.cpp", visit)
    assert figures(engine) == {"requests_running": 2}
    assert engine.model == "Qwen3-8B-Q4_K_M.gguf"
    assert "/metrics" not in visit.asked


ABLE_TO_SLEEP = b'{"model_path": "/m/small.gguf", "is_sleeping": %s, "build_info": "b9000"}'


@pytest.mark.parametrize(
    ("sleeps", "works", "running"), [("true", False, 0), ("true", None, 0), ("false", False, 0), ("false", None, None)]
)
def test_a_llama_cpp_that_may_sleep_is_asked_for_nothing_that_wakes_it_or_keeps_it_awake(
    sleeps: str, works: bool | None, running: int | None
) -> None:
    visit = Recording(props=ABLE_TO_SLEEP % sleeps.encode(), slots=recorded("llama-cpp-slots.json"))
    visit.is_working = works
    (engine,) = engines("llama.cpp", visit)
    assert set(visit.asked) == {"/props"}
    assert (engine.sleeping, engine.model, engine.requests_running) == (sleeps == "true", "small.gguf", running)
    assert figures(engine, "requests_running") == ({} if running is None else {"requests_running": 0})
    assert "keep it awake" in engine.unknown["requests_running"]


def test_a_llama_cpp_that_works_is_asked_for_its_slots() -> None:
    visit = Recording(props=ABLE_TO_SLEEP % b"false", slots=recorded("llama-cpp-slots.json"))
    (engine,) = engines("llama.cpp", visit)
    assert (engine.sleeping, figures(engine)) == (False, {"requests_running": 2})


@pytest.mark.parametrize(("name", "usage"), [("llama-cpp-2024.prom", 0.375), ("llama-cpp-2026.prom", None)])
def test_llama_cpp_without_slots(name: str, usage: float | None) -> None:
    (engine,) = of_page("llama.cpp", name)
    assert (engine.requests_running, engine.requests_waiting, engine.kv_usage_ratio) == (2, 1, usage)
    assert engine.unknown["kv_pages_total"] == "llama.cpp keeps its cache in no pages"


def test_ollama_tells_its_models_and_no_figure_is_made_of_their_sizes() -> None:
    found = engines("ollama", Recording(api_ps=recorded("ollama-ps.json")))
    assert [engine.model for engine in found] == ["mistral:latest", "gemma3:4b"]
    assert [figures(engine) for engine in found] == [{}, {}]


def test_a_model_on_the_cpu_alone_does_not_hide_the_one_on_the_gpu() -> None:
    page = (case("ollama-one-model-without-size-vram") / "ps.json").read_bytes()
    on_gpu, on_cpu = engines("ollama", Recording(api_ps=page))
    assert (on_gpu.model, on_cpu.model) == ("on-gpu:8b", "on-cpu:1b")
    assert "on the CPU alone" not in on_gpu.unknown["kv_pages_total"]
    assert "on the CPU alone" in on_cpu.unknown["kv_pages_total"]


def test_a_row_that_nobody_knows_does_not_hide_the_others() -> None:
    page = b'{"models": [{"title": "new"}, {"name": "a:8b", "size": 6, "size_vram": 6}]}'
    assert [engine.model for engine in engines("ollama", Recording(api_ps=page))] == ["a:8b"]
    assert READ["ollama"](Recording(api_ps=b'{"models": [{"title": "new"}]}')) is None
    (found,) = READ["ollama"](Recording(api_ps=page)) or ()
    assert found.left_out == "1 of 2 models left out: their rows at /api/ps could not be read"


@pytest.mark.parametrize(
    "row", ['"size": 6, "size_vram": null', '"size": 0, "size_vram": 0', '"size": 6, "size_vram": 9']
)
def test_a_model_of_which_nobody_says_where_it_is_is_not_said_to_be_anywhere(row: str) -> None:
    (engine,) = engines("ollama", Recording(api_ps=f'{{"models": [{{"name": "a:8b", {row}}}]}}'.encode()))
    assert engine.model == "a:8b"
    assert "CPU" not in engine.unknown["kv_pages_total"]


def test_a_model_that_does_not_fit_the_gpu_says_so() -> None:
    page = b'{"models": [{"name": "a:70b", "size": 60, "size_vram": 20}, {"name": "b:8b", "size": 6, "size_vram": 6}]}'
    split, whole = engines("ollama", Recording(api_ps=page))
    assert "part of this one is on the CPU" in split.unknown["kv_pages_total"]
    assert "CPU" not in whole.unknown["kv_pages_total"]


def test_ollama_without_a_model() -> None:
    assert engines("ollama", Recording(api_ps=b'{"models": []}')) == []


@pytest.mark.parametrize("kind", READ)
def test_nobody_takes_anothers_answers_for_its_own(kind: str) -> None:
    pages = {
        "vllm": Recording(metrics=recorded("vllm-v0.10.prom")),
        "sglang": Recording(metrics=recorded("sglang-0.4.prom")),
        "triton": Recording(metrics=recorded("triton-plain.prom")),
        "llama.cpp": Recording(slots=recorded("llama-cpp-slots.json")),
        "ollama": Recording(api_ps=recorded("ollama-ps.json")),
        "lmdeploy": Recording(metrics=recorded("lmdeploy-0.16.prom")),
        "tensorrt-llm": Recording(prometheus_metrics=recorded("tensorrt-llm.prom")),
        "tgi": Recording(metrics=recorded("tgi.prom")),
        "none": Recording(metrics=b"# TYPE up gauge\nup 1\nmy_vllm:x 3\n"),
    }
    assert [other for other, visit in pages.items() if READ[kind](visit) is not None] == [kind]
