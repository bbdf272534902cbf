"""Files of other systems, written by hand from the vendors' documentation, and the events that follow from them."""

from __future__ import annotations

from typing import Any, NamedTuple


class UsageFileExample(NamedTuple):
    """`events`: the fields of each event but its id and account. `left_out`: what is named as left out."""

    name: str
    format: str
    text: str
    events: list[dict[str, Any]]
    left_out: frozenset[str] = frozenset()
    ids: tuple[str, ...] = ()  # of rows with an id of their own


AT = "2026-11-02T10:00:00.000000+00:00"
OPENAI = "https://api.openai.com/v1"

EXAMPLES = [
    UsageFileExample(
        "completions_usage.csv",
        "openai-usage",
        "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,"
        "service_tier,input_tokens,output_tokens,input_cached_tokens,input_audio_tokens,output_audio_tokens\n"
        "1793613600,1793700000,2026-11-02T10:00:00+00:00,x,p,3.0,,,gpt-4o,TRUE,default,100.0,20.0,40.0,10.0,5.0\n"
        "1793613600,1793700000,2026-11-02T10:00:00+00:00,x,,,,,,,,,,,,\n",
        [
            {
                "occurred_at": AT,
                "provider": "openai",
                "model": "gpt-4o",
                "endpoint": f"{OPENAI}/chat/completions",
                "usage": {
                    "input_tokens": 100,
                    "cached_input_tokens": 40,
                    "output_tokens": 20,
                    "requests": 3,
                    "input_audio_tokens": 10,
                    "output_audio_tokens": 5,
                },
                "variant": {"service_tier": "batch"},
                "metadata": {"project_id": "p"},
            }
        ],
        frozenset({"end_time_iso"}),
    ),
    UsageFileExample(
        "embeddings_usage.csv",
        "openai-usage",
        "start_time,end_time,start_time_iso,end_time_iso,num_model_requests,model,input_tokens\n"
        "1793613600,1793700000,2026-11-02T10:00:00+00:00,x,2,text-embedding-3-small,16\n",
        [
            {
                "occurred_at": AT,
                "provider": "openai",
                "model": "text-embedding-3-small",
                "endpoint": OPENAI,
                "usage": {"input_tokens": 16, "requests": 2},
            }
        ],
        frozenset({"end_time_iso"}),
    ),
    UsageFileExample(
        "usage.json",
        "openai-usage",
        '{"object": "page", "data": [{"object": "bucket", "start_time": 1793613600, "end_time": 1793617200, "results": ['
        '{"object": "organization.usage.completions.result", "input_tokens": 1000, "input_cached_tokens": 400,'
        ' "input_cache_write_tokens": 100, "output_tokens": 500, "num_model_requests": 5, "project_id": "p",'
        ' "user_id": null, "model": "gpt-5", "batch": true, "service_tier": "default"},'
        '{"object": "organization.usage.images.result", "images": 2, "num_model_requests": 2, "size": "1024x1024",'
        ' "source": "image.generation", "model": "dall-e-3"},'
        '{"object": "organization.usage.web_searches.result", "num_requests": 4, "num_model_requests": 3,'
        ' "model": "gpt-5", "context_level": "high"}]},'
        '{"object": "bucket", "start_time": 1793617200, "end_time": 1793620800, "results": []}], "has_more": false}',
        [
            {
                "occurred_at": AT,
                "provider": "openai",
                "model": "gpt-5",
                "endpoint": f"{OPENAI}/chat/completions",
                "usage": {
                    "input_tokens": 1000,
                    "cached_input_tokens": 400,
                    "cache_write_tokens": 100,
                    "output_tokens": 500,
                    "requests": 5,
                },
                "variant": {"service_tier": "batch"},
                "metadata": {"project_id": "p"},
            },
            {
                "occurred_at": AT,
                "provider": "openai",
                "model": "dall-e-3",
                "endpoint": f"{OPENAI}/images/generations",
                "usage": {"images": 2, "requests": 2},
                "variant": {"resolution": "1024x1024"},
            },
            {
                "occurred_at": AT,
                "provider": "openai",
                "model": "gpt-5",
                "endpoint": f"{OPENAI}/responses",
                "usage": {"searches": 4, "requests": 0},
                "variant": {"search_context": "high"},
            },
        ],
        frozenset({"has_more"}),
    ),
    UsageFileExample(
        "claude_api_tokens.csv",
        "anthropic-usage",
        "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
        "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
        "usage_output_tokens,web_search_count,inference_geo,speed\n"
        "2026-11-02 10:00,claude-opus-5,k,Default,batch,> 200k,7,100,60,900,30,2,us,fast\n",
        [
            {
                "occurred_at": AT,
                "provider": "anthropic",
                "model": "claude-opus-5",
                "endpoint": "https://api.anthropic.com/v1/messages",
                "cached_tokens_included": False,
                "usage": {
                    "input_tokens": 7,
                    "cache_write_tokens": 160,
                    "cache_write_1h_tokens": 60,
                    "requests": 0,
                    "cached_input_tokens": 900,
                    "output_tokens": 30,
                    "searches": 2,
                },
                "variant": {"service_tier": "batch", "context": "> 200k", "inference_geo": "us", "speed": "fast"},
                "metadata": {"api_key": "k", "workspace": "Default"},
            }
        ],
    ),
    UsageFileExample(
        "usage_report.json",
        "anthropic-usage",
        '{"data": [{"starting_at": "2026-11-02T10:00:00Z", "ending_at": "2026-11-02T11:00:00Z", "results": [{'
        '"uncached_input_tokens": 1500, "cache_creation": {"ephemeral_1h_input_tokens": 1000,'
        ' "ephemeral_5m_input_tokens": 500}, "cache_read_input_tokens": 200, "output_tokens": 500,'
        ' "server_tool_use": {"web_search_requests": 10}, "api_key_id": null, "workspace_id": "wrkspc_1",'
        ' "model": "claude-opus-4", "service_tier": "standard", "context_window": "0-200k"}]}],'
        ' "has_more": false, "next_page": null}',
        [
            {
                "occurred_at": AT,
                "provider": "anthropic",
                "model": "claude-opus-4",
                "endpoint": "https://api.anthropic.com/v1/messages",
                "cached_tokens_included": False,
                "usage": {
                    "input_tokens": 1500,
                    "cache_write_tokens": 1500,
                    "cache_write_1h_tokens": 1000,
                    "requests": 0,
                    "cached_input_tokens": 200,
                    "output_tokens": 500,
                    "searches": 10,
                },
                "variant": {"service_tier": "standard", "context": "0-200k"},
                "metadata": {"workspace_id": "wrkspc_1"},
            }
        ],
        frozenset({"has_more", "next_page"}),
    ),
    UsageFileExample(
        "openrouter_activity.csv",
        "openrouter-activity",
        "generation_id,created_at,cost_total,cost_web_search,byok_usage_inference,tokens_prompt,tokens_completion,"
        "tokens_reasoning,tokens_cached,model_permaslug,provider_name,variant,cancelled,generation_time_ms\n"
        "gen-1,2026-11-02 10:00:00.000,4.5e-05,0,0.0,1200,30,10,900,openai/gpt-oss-120b,Groq,standard,false,1200\n",
        [
            {
                "occurred_at": AT,
                "provider": "openrouter",
                "model": "openai/gpt-oss-120b",
                "served_by": "Groq",
                "endpoint": "https://openrouter.ai/api/v1/chat/completions",
                "cost_usd": "0.000045",
                "usage": {
                    "input_tokens": 1200,
                    "cached_input_tokens": 900,
                    "output_tokens": 30,
                    "reasoning_tokens": 10,
                },
                "response_time_ms": 1200,
                "metadata": {
                    "generation_id": "gen-1",
                    "variant": "standard",
                    "cancelled": "false",
                    "byok_usage_inference": "0.0",
                },
            }
        ],
        frozenset({"cost_web_search"}),
        ("openrouter-activity:gen-1",),
    ),
    UsageFileExample(
        "spend.json",
        "litellm-spendlogs",
        '[{"request_id": "r1", "call_type": "acompletion", "api_key": "h", "spend": 0.0001234, "total_tokens": 40,'
        ' "prompt_tokens": 30, "completion_tokens": 10, "startTime": "2026-11-02T10:00:00.000Z", "model": "gpt-4o-mini",'
        ' "custom_llm_provider": "openai", "api_base": "https://api.openai.com", "cache_hit": "False", "status": "success",'
        ' "metadata": {"usage_object": {"prompt_tokens_details": {"cached_tokens": 20}}}, "request_duration_ms": 900},'
        '{"request_id": "r2", "call_type": "acompletion", "api_key": "h", "spend": 0.0, "total_tokens": 0,'
        ' "prompt_tokens": 0, "completion_tokens": 0, "startTime": "2026-11-02T10:00:00.000Z", "model": "gpt-4o-mini",'
        ' "custom_llm_provider": "", "api_base": "", "cache_hit": "", "status": "failure", "metadata": {}},'
        '{"request_id": "r3", "call_type": "acompletion", "api_key": "h", "spend": 0.0, "total_tokens": 40,'
        ' "prompt_tokens": 30, "completion_tokens": 10, "startTime": "2026-11-02T10:00:00.000Z", "model": "gpt-4o-mini",'
        ' "custom_llm_provider": "openai", "api_base": "", "cache_hit": "True", "status": "success", "metadata": {}}]',
        [
            {
                "occurred_at": AT,
                "provider": "openai",
                "model": "gpt-4o-mini",
                "cost_usd": "0.0001234",
                "endpoint": "https://api.openai.com",
                "response_time_ms": 900,
                "usage": {"input_tokens": 30, "cached_input_tokens": 20, "output_tokens": 10},
                "metadata": {"request_id": "r1", "call_type": "acompletion"},
            },
            {
                "occurred_at": AT,
                "provider": "unknown",
                "model": "gpt-4o-mini",
                "status_code": 500,
                "metadata": {"request_id": "r2", "call_type": "acompletion"},
            },
        ],
        frozenset({"api_key", "total_tokens"}),
        ("litellm-spendlogs:r1", "litellm-spendlogs:r2"),
    ),
    UsageFileExample(
        "observations.jsonl",
        "langfuse",
        '{"id": "o1", "traceId": "t", "type": "GENERATION", "name": "turn", "startTime": "2026-11-02T10:00:00.000Z",'
        ' "model": "gpt-5", "usageDetails": {"input": 100, "input_cached_tokens": 40, "output": 20,'
        ' "output_reasoning_tokens": 30, "total": 190}, "costDetails": {"total": 0.001}, "level": "DEFAULT", "input": "?"}\n'
        '{"id": "o2", "traceId": "t", "type": "SPAN", "startTime": "2026-11-02T10:00:00.000Z", "usageDetails": {}}\n'
        '{"id": "o3", "traceId": "t", "type": "GENERATION", "startTime": "2026-11-02T10:00:00.000Z", "model": "own",'
        ' "usageDetails": {"input": 5, "output": 1}, "totalCost": 0}\n',
        [
            {
                "occurred_at": AT,
                "provider": "unknown",
                "model": "gpt-5",
                "cost_usd": "0.001",
                "cached_tokens_included": False,
                "usage": {
                    "input_tokens": 100,
                    "cached_input_tokens": 40,
                    "output_tokens": 50,
                    "reasoning_tokens": 30,
                },
                "metadata": {"observation_id": "o1", "trace_id": "t", "name": "turn"},
            },
            {
                "occurred_at": AT,
                "provider": "unknown",
                "model": "own",
                "cached_tokens_included": False,
                "usage": {"input_tokens": 5, "output_tokens": 1},
                "metadata": {"observation_id": "o3", "trace_id": "t"},
            },
        ],
        frozenset({"input"}),
        ("langfuse:o1", "langfuse:o3"),
    ),
    UsageFileExample(
        "observations.csv",
        "langfuse",
        "id,trace_id,type,start_time,provided_model_name,usage_details,cost_details,total_cost,level\n"
        'o1,t,GENERATION,2026-11-02 10:00:00.000000,claude-opus-5,"{""input"":100,""output"":20,'
        '""cache_read_input_tokens"":40,""cache_creation_input_tokens"":8}",{},0.5,DEFAULT\n',
        [
            {
                "occurred_at": AT,
                "provider": "unknown",
                "model": "claude-opus-5",
                "cost_usd": "0.5",
                "cached_tokens_included": False,
                "usage": {
                    "input_tokens": 100,
                    "cached_input_tokens": 40,
                    "cache_write_tokens": 8,
                    "output_tokens": 20,
                },
                "metadata": {"observation_id": "o1", "trace_id": "t"},
            }
        ],
        ids=("langfuse:o1",),
    ),
    UsageFileExample(
        "helicone.jsonl",
        "helicone",
        '{"request_id": "q1", "request_created_at": "2026-11-02T10:00:00Z", "request_path": "https://api.anthropic.com'
        '/v1/messages", "request_model": "claude-opus-5", "response_status": 200, "provider": "ANTHROPIC",'
        ' "delay_ms": 300, "prompt_tokens": 7, "completion_tokens": 3, "prompt_cache_read_tokens": 90,'
        ' "prompt_cache_write_tokens": 10, "total_tokens": 110, "cost": 1500000, "costUSD": 0.0015,'
        ' "request_properties": {"team": "x"}}\n'
        '{"request_id": "q2", "request_created_at": "2026-11-02T10:00:00Z", "request_path": "https://api.openai.com'
        '/v1/chat/completions", "request_model": "gpt-4o", "response_status": 429, "provider": "OPENAI",'
        ' "delay_ms": 20, "prompt_tokens": null, "completion_tokens": null}\n',
        [
            {
                "occurred_at": AT,
                "provider": "ANTHROPIC",
                "model": "claude-opus-5",
                "cost_usd": "0.0015",
                "endpoint": "https://api.anthropic.com/v1/messages",
                "response_time_ms": 300,
                "cached_tokens_included": False,
                "usage": {
                    "input_tokens": 7,
                    "output_tokens": 3,
                    "cached_input_tokens": 90,
                    "cache_write_tokens": 10,
                },
                "metadata": {"request_id": "q1", "properties": {"team": "x"}},
            },
            {
                "occurred_at": AT,
                "provider": "OPENAI",
                "model": "gpt-4o",
                "status_code": 429,
                "endpoint": f"{OPENAI}/chat/completions",
                "response_time_ms": 20,
                "metadata": {"request_id": "q2"},
            },
        ],
        frozenset({"cost", "total_tokens"}),
        ("helicone:q1", "helicone:q2"),
    ),
    UsageFileExample(
        "usage-events.csv",
        "cursor",
        "Date,User,Kind,Model,Max Mode,Input (w/ Cache Write),Input (w/o Cache Write),Cache Read,Output Tokens,"
        "Total Tokens,Cost\n"
        '"2026-11-02T10:00:00.000Z","a@example.com","On-Demand","claude-4-sonnet","No","21865","3","68608","3043","93519","$0.06"\n'
        '"2026-11-02T10:00:00.000Z","a@example.com","Included","auto","No","0","12","0","3","15","Included"\n'
        '"2026-11-02T10:00:00.000Z","a@example.com","Errored, No Charge","auto","No","0","12","0","3","15","-"\n',
        [
            {
                "occurred_at": AT,
                "provider": "cursor",
                "model": "claude-4-sonnet",
                "cost_usd": "0.06",
                "cached_tokens_included": False,
                "usage": {
                    "input_tokens": 3,
                    "cache_write_tokens": 21865,
                    "cached_input_tokens": 68608,
                    "output_tokens": 3043,
                },
                "metadata": {"user": "a@example.com", "kind": "On-Demand", "max_mode": "No"},
            },
            {
                "occurred_at": AT,
                "provider": "cursor",
                "model": "auto",
                "cached_tokens_included": False,
                "usage": {"input_tokens": 12, "output_tokens": 3},
                "metadata": {"user": "a@example.com", "kind": "Included", "max_mode": "No"},
            },
        ],
        frozenset({"Total Tokens"}),
    ),
]
