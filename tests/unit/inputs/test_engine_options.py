"""Options of ours in every spelling that the engine's and the frontend's parsers take."""

from __future__ import annotations

import argparse

import pytest
from ansible.module_utils.dynfleet.inputs import engine_options

# Others of vLLM 0.26, dynamo.vllm, dynamo.mocker and dynamo.frontend: theirs to set.
OTHERS = [
    "--async-scheduling",
    "--attention-backend",
    "--chat-template",
    "--chat-template-content-format",
    "--compilation-config",
    "--config-format",
    "--cpu-offload-gb",
    "--custom-jinja-template",
    "--disaggregation-mode",
    "--decode-context-parallel-size",
    "--distributed-executor-backend",
    "--download-dir",
    "--dtype",
    "--dyn-reasoning-parser",
    "--dyn-tool-call-parser",
    "--enable-chunked-prefill",
    "--enable-expert-parallel",
    "--enable-lora",
    "--enable-prefix-caching",
    "--endpoint-types",
    "--enforce-eager",
    "--generation-config",
    "--hf-config-path",
    "--hf-overrides",
    "--kv-cache-dtype",
    "--kv-cache-memory-bytes",
    "--kv-state-endpoint",
    "--load-format",
    "--lora-modules",
    "--max-logprobs",
    "--max-num-batched-tokens",
    "--max-num-seqs",
    "--mm-processor-kwargs",
    "--model-express-url",
    "--model-impl",
    "--model-loader-extra-config",
    "--num-gpu-blocks-override",
    "--override-generation-config",
    "--quantization",
    "--revision",
    "--seed",
    "--speculative-config",
    "--speedup-ratio",
    "--tokenizer",
    "--tokenizer-mode",
    "--trust-remote-code",
    "--no-enable-prefix-caching",
    "--no-enable-chunked-prefill",
    "-q",
    "-ep",
    "-cc",
    "-O3",
    "-dcp",
]
FRONTENDS = [
    "--dyn-chat-processor",
    "--enable-anthropic-api",
    "--metrics-prefix",
    "--migration-max-seq-len",
    "--model-name",
    "--model-path",
    "--no-router-kv-events",
    "--router-kv-events",
    "--router-min-initial-workers",
    "--router-policy-config",
    "--router-replica-sync",
    "--router-temperature",
    "--router-ttl-secs",
    "--tokenizer",
    "--trust-remote-code",
    "--active-decode-blocks-threshold",
]


@pytest.mark.parametrize(
    ("argument", "option"),
    [
        ("--kv-transfer-config.kv_connector=LMCacheConnectorV1", "--kv-transfer-config"),
        ("--kv-transfer-config.kv_connector", "--kv-transfer-config"),
        ("--kv_transfer_config.kv_connector=X", "--kv-transfer-config"),
        ("--kv_transfer-config.kv_connector_extra_config.a.b", "--kv-transfer-config"),
        ('--kv-transfer-config={"kv_connector":"X"}', "--kv-transfer-config"),
        ("--kv_transfer_config", "--kv-transfer-config"),
        ("--kv-events-config.endpoint=tcp://*:5557", "--kv-events-config"),
        ("--kv-events-config.topics+=a,b", "--kv-events-config"),
        ("--kv-events-config.topics+", "--kv-events-config"),
        ("--kv-ev.endpoint", "--kv-events-config"),
        ("--kv_t.kv_role=kv_both", "--kv-transfer-config"),
        ("--tensor_parallel_size=4", "--tensor-parallel-size"),
        ("--tens", "--tensor-parallel-size"),
        ("-tp", "-tp"),
        ("-tp=4", "-tp"),
        ("-tp4", "-tp"),
        ("-t", "-tp"),
        ("-dpl", "-dpl"),
        ("-n2", "-n"),
        ("--no-headless", "--headless"),
        ("--no-fpm-trace", "--fpm-trace"),
        ("--config", "--config"),
        ("--config=/etc/vllm.yml", "--config"),
        ("--engine-config-json=/etc/vllm.json", "--engine-config-json"),
        ("--kv-offloading-size", "--kv-offloading-size"),
        ("--endpoint=dyn://other.backend.generate", "--endpoint"),
    ],
)
def test_an_option_of_the_workers(argument: str, option: str) -> None:
    assert engine_options.meant(argument, engine_options.WORKER)[0] == option


@pytest.mark.parametrize(
    ("argument", "option"),
    [
        ("--http-p=80", "--http-port"),
        ("--no-kserve-grpc-server", "--kserve-grpc-server"),
        ("--no-kserve", "--kserve-grpc-server"),
        ("-i", "-i"),
        ("--namespace-prefix=x", "--namespace-prefix"),
        ("--tls-client-ca-cert-path", "--tls-client-ca-cert-path"),
    ],
)
def test_an_option_of_the_frontends(argument: str, option: str) -> None:
    assert engine_options.meant(argument, engine_options.FRONTEND)[0] == option


@pytest.mark.parametrize(
    ("argument", "way"),
    [
        ("--model", ""),
        ("--model=x", ""),
        ("--kv-transfer-config.kv_role", "sets a part of"),
        ("--kv-tr", "is short for"),
        ("--no-headless", "negates"),
    ],
)
def test_the_way_is_said(argument: str, way: str) -> None:
    assert engine_options.meant(argument, engine_options.WORKER)[1] == way


@pytest.mark.parametrize(
    ("others", "refused"), [(OTHERS, engine_options.WORKER), (FRONTENDS, engine_options.FRONTEND)]
)
def test_other_options_and_values_are_left_alone(
    others: list[str], refused: dict[str, str]
) -> None:
    values = ["-1", "-", "--", "64", "model", "tp://x", '{"model": "--model"}', "a=--model", ""]
    dotted = ["--speculative-config.model=x", "--hf-overrides.text_config.x+", "--seed=1.5"]
    wrong = [item for item in [*others, *values, *dotted] if engine_options.meant(item, refused)[0]]
    assert wrong == []


@pytest.mark.parametrize(
    ("others", "refused"), [(OTHERS, engine_options.WORKER), (FRONTENDS, engine_options.FRONTEND)]
)
def test_what_argparse_takes_for_an_option_of_ours_is_refused(
    others: list[str], refused: dict[str, str]
) -> None:
    parser = argparse.ArgumentParser(add_help=False)
    for option in {*refused, *(item for item in others if not item.startswith("-O"))}:
        parser.add_argument(option, dest=option)
    tried = 0
    for option in refused:
        for end in range(2 if option[1] != "-" else 3, len(option) + 1):
            try:
                given = vars(parser.parse_args([f"{option[:end]}=x"]))
            except (argparse.ArgumentError, SystemExit):
                continue  # several options begin like this: no engine starts with it
            taken = [name for name, value in given.items() if value == "x"]
            if taken and taken[0] in refused:
                tried += 1
                assert engine_options.meant(f"{option[:end]}=x", refused)[0], option[:end]
    assert tried > 2 * len(refused)
