import pytest
from tests.conftest import *
from tests.conftest import Api
@pytest.mark.django_db
def test_mem(db):
    import tracemalloc, time, json
    service = Api("ingest","read","manage")
    from tests.billing.bad_input import BODIES, FIELDS, GOOD, MIB
    import gzip
    from billing.api import throttling
    extra = [("deep keys", b'{"a":'*100000), ("5MiB string", b'{"event_id": "'+b"x"*(5*MIB-100)+b'"}',), ("many keys", ("{"+",".join(f'"k{i}":1' for i in range(400000))+"}").encode()),
      ("list of lists", b'{"events": ['+b"[],"*999+b"[]]}"), ("unknown big", b'{"x": ['+b"1,"*2_500_000+b"1]}"), ("unknown nested", b'{"x": ['+b"[],"*1_700_000+b"1]}"),
      ("metadata big", b'{"event_id":"e","provider":"o","account":"a","metadata":{"a":['+b"1,"*2_400_000+b"1]}}"),
      ("metadata obj", b'{"event_id":"e","provider":"o","account":"a","metadata":{"a":['+b"{},"*1_700_000+b"1]}}"),
      ("dups", ("{"+",".join(f'"k{i}":1' for i in range(400000))+',"k399999":1}').encode()),
      ("endpoint", json.dumps({"event_id":"e","provider":"o","account":"a","endpoint":":/"*1000}).encode()),
      ("endpoint@", json.dumps({"event_id":"e","provider":"o","account":"a","endpoint":":/@"*666}).encode()),
      ("escape dup", b'{"x":"'+b"\\u0000"*800000+b'"}'),
      ("empty objs", b'{"events": ['+b"{},"*999+b'{}], "events2": 1}'),
      ("gz big", gzip.compress(b'{"x": ['+b"{},"*1_700_000+b"1]}"))]
    rows = [(b.name, b.body, b.headers) for b in BODIES] + [(n,b,{"content-encoding":"gzip"} if n.startswith("gz") else {}) for n,b in extra]
    out=[]
    for name, body, headers in rows:
        throttling.CallerThrottle._counts.clear()
        tracemalloc.start(); t=time.process_time()
        a=service.client.post("/api/v1/usage/", body, content_type="application/json", headers=headers)
        el0=time.process_time()-t; peak=tracemalloc.get_traced_memory()[1]; tracemalloc.stop()
        t=time.process_time(); a=service.client.post("/api/v1/usage/", body, content_type="application/json", headers=headers); el=time.process_time()-t
        out.append((el,peak/MIB,name,a.status_code))
    for r in sorted(out, reverse=True)[:8]: print("%.2fs %.0fMiB %s %s"%r)
    for r in sorted(out, key=lambda r:-r[1])[:8]: print("%.2fs %.0fMiB %s %s"%r)
