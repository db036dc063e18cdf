import asyncio, time
from tests.world import *
from gateway.v1 import identity_service_pb2 as i
def test_try(database_home, database_settings):
    async def go():
        t=time.time()
        async with World.open(ground_of(database_home, database_settings)) as w:
            print("open", time.time()-t); t=time.time()
            tok=await w.login(w.county); print("login", time.time()-t)
            r=await w.call(w.county,"/gateway.v1.IdentityService/WhoAmI", i.WhoAmIRequest(), token=tok)
            print(i.WhoAmIResponse.FromString(r))
            try: await w.call(w.county,"/gateway.v1.IdentityService/WhoAmI", i.WhoAmIRequest())
            except RefusedError as e: print(e, e.status)
            for l in w.leaves(): print(l)
    asyncio.run(go())
