"""Cost exports of the clouds, written by hand from their documentation, and the events that follow from them."""

from __future__ import annotations

from tests.billing.recording.usage_files import AT, UsageFileExample

_AZURE = (
    "BilledCost,BillingAccountId,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,ConsumedQuantity,"
    "ConsumedUnit,EffectiveCost,RegionId,ResourceId,ServiceCategory,ServiceName,SkuMeter,x_BillingExchangeRate,"
    "x_EffectiveCostInUsd,x_SkuMeterCategory\n"
)
EXAMPLES = [
    UsageFileExample(
        "FocusCost.csv",
        "azure-focus",
        _AZURE + "0.11,b,EUR,Usage,2026-11-02T10:00Z,2026-11-03T00:00Z,50000,Units,0.115,westeurope,/r/a,"
        "AI and Machine Learning,Azure OpenAI,gpt 4o Inp glbl Tokens,0.92,0.125,Azure OpenAI\n"
        "0.11,b,EUR,Usage,2026-11-02T10:00Z,2026-11-03T00:00Z,7,1K Tokens,0.115,westeurope,/r/a,"
        "AI and Machine Learning,Azure OpenAI,gpt-4o-mini-0718-Outp-regnl,0.92,0.07,Azure OpenAI\n"
        "0.11,b,EUR,Usage,2026-11-02T10:00Z,2026-11-03T00:00Z,1,Hours,0.115,westeurope,/r/b,"
        "Compute,Virtual Machines,D2,0.92,0.125,Virtual Machines\n",
        [
            {
                "occurred_at": AT,
                "provider": "azure",
                "model": "gpt 4o",
                "cost_usd": "0.125",
                "cached_tokens_included": False,
                "usage": {"input_tokens": 50000, "requests": 0},
                "variant": {"region": "westeurope"},
                "metadata": {
                    "billing_currency": "EUR",
                    "billing_exchange_rate": "0.92",
                    "service": "Azure OpenAI",
                    "resource": "/r/a",
                },
            },
            {
                "occurred_at": AT,
                "provider": "azure",
                "model": "gpt-4o-mini-0718",
                "cost_usd": "0.07",
                "cached_tokens_included": False,
                "usage": {"output_tokens": 7000, "requests": 0},
                "variant": {"region": "westeurope"},
                "metadata": {
                    "billing_currency": "EUR",
                    "billing_exchange_rate": "0.92",
                    "service": "Azure OpenAI",
                    "resource": "/r/a",
                },
            },
        ],
        frozenset({"BilledCost"}),
    ),
    UsageFileExample(
        "focus.csv",
        "focus",
        '"BilledCost","BillingAccountId","BillingCurrency","ChargeCategory","ChargeDescription","ChargePeriodStart",'
        '"ConsumedQuantity","ConsumedUnit","EffectiveCost","ProviderName","RegionId","ServiceCategory","ServiceName"\n'
        '0.00,"1","USD","Usage","USE1-Claude4.5Sonnet-output-tokens","2026-11-02 10:00:00",0.08,"1K tokens",'
        '0.0012,"AWS","us-east-1","AI and Machine Learning","Amazon Bedrock"\n'
        '0.07,"1","USD","Tax",NULL,"2026-11-02 10:00:00",NULL,NULL,0.07,"AWS",NULL,"AI and Machine Learning","Tax"\n',
        [
            {
                "occurred_at": AT,
                "provider": "aws",
                "model": "USE1-Claude4.5Sonnet",
                "cost_usd": "0.0012",
                "cached_tokens_included": False,
                "usage": {"output_tokens": 80, "requests": 0},
                "variant": {"region": "us-east-1"},
                "metadata": {"service": "Amazon Bedrock", "charge": "USE1-Claude4.5Sonnet-output-tokens"},
            }
        ],
        frozenset({"BilledCost"}),
    ),
    UsageFileExample(
        "billing.jsonl",
        "gcp-billing",
        '{"billing_account_id": "b", "service": {"id": "s", "description": "Vertex AI"}, "sku": {"id": "k", "description":'
        ' "Generate content cached input token count gemini 3.7 flash image flex caching"}, "usage_start_time":'
        ' "2026-11-02 10:00:00 UTC", "usage_end_time": "2026-11-02 11:00:00 UTC", "project": {"id": "shop"},'
        ' "location": {"region": "us-central1"}, "cost": 3.75e-05, "currency": "USD", "usage": {"amount": 5000.0,'
        ' "unit": "count"}, "credits": [], "cost_type": "regular"}\n'
        '{"service": {"description": "Compute Engine"}, "sku": {"description": "N1"}, "usage_start_time":'
        ' "2026-11-02 10:00:00 UTC", "cost": 1, "currency": "USD"}\n',
        [
            {
                "occurred_at": AT,
                "provider": "google",
                "model": "gemini 3.7 flash",
                "cost_usd": "0.0000375",
                "cached_tokens_included": False,
                "usage": {"cached_input_tokens": 5000, "requests": 0},
                "variant": {"region": "us-central1"},
                "metadata": {
                    "sku": "Generate content cached input token count gemini 3.7 flash image flex caching",
                    "project": "shop",
                },
            }
        ],
    ),
    UsageFileExample(
        "cur.csv",
        "aws-cur2",
        "identity_line_item_id,bill_billing_period_start_date,line_item_usage_account_id,line_item_line_item_type,"
        "line_item_usage_start_date,line_item_product_code,line_item_usage_type,line_item_usage_amount,pricing_unit,"
        "line_item_unblended_cost,line_item_currency_code,product_region_code\n"
        "a,2026-11-01T00:00:00Z,1,Usage,2026-11-02T10:00:00Z,AmazonBedrock,USE1-Nova2.0Lite-input-tokens-flex,"
        "0.002,1M tokens,0.0000600000,USD,us-east-1\n"
        "b,2026-11-01T00:00:00Z,1,Usage,2026-11-02T10:00:00Z,AmazonEC2,BoxUsage,1,Hrs,0.1,USD,us-east-1\n",
        [
            {
                "occurred_at": AT,
                "provider": "aws",
                "model": "Nova2.0Lite",
                "cost_usd": "0.00006",
                "cached_tokens_included": False,
                "usage": {"input_tokens": 2000, "requests": 0},
                "variant": {"region": "us-east-1", "service_tier": "flex"},
                "metadata": {"usage_type": "USE1-Nova2.0Lite-input-tokens-flex", "aws_account": "1"},
            }
        ],
    ),
]
