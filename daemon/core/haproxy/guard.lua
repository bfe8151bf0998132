-- Ends the connections to a server that hangs, so that their clients go to another one.
--
-- HAProxy's own option, `on-marked-down shutdown-sessions`, does that to every server that is DOWN. So it also cuts
-- connections that a server still serves after it has closed its port, and connections that HAProxy is about to retry
-- with another server. And a worker that drains after a reload checks no server any more.
local BACKEND = "kube-apiserver"
-- Time is counted in looks, not taken from a clock: if HAProxy was stopped for a while, that is not taken for
-- silence.
local LOOK_MS = 100
local function looks(ms) return ms / LOOK_MS end

-- Times from the config, so that this script asks no more often than HAProxy does.
local INTERVAL_MS = tonumber(os.getenv("APILB_INTERVAL_MS")) or 1000
local CONNECT_MS = tonumber(os.getenv("APILB_CONNECT_MS")) or 800

-- Checks that timed out, and for how many looks the server must be DOWN before it counts as hanging. With L4, clients
-- that still wait for a connection get the time to be retried elsewhere. A refused connection is no hang: the kernel
-- has told the client.
local HANGS = { L4TOUT = looks(CONNECT_MS + LOOK_MS), L6TOUT = 0 }
-- For the checks that this script makes: as long as two failed checks of HAProxy.
local SILENT = looks(2 * CONNECT_MS)

local function ask(server)
	local host, port = server:get_addr():match("^%[?(.-)%]?:(%d+)$")
	if not host then
		return -- its name is not resolved
	end
	local socket = core.tcp()
	socket:settimeout(2 * SILENT * LOOK_MS / 1000)
	socket:connect_ssl(host, tonumber(port))
	socket:close()
end

local function check(server, state)
	while true do
		core.msleep(math.floor(INTERVAL_MS * (0.9 + 0.2 * math.random())))
		if state.unchecked then
			state.waited = 0
			ask(server)
			state.waited = nil
		end
	end
end

-- True only once for each check. Were its connections cut again and again, the server would have the fewest, and get
-- all new ones.
local function is_silent(state)
	state.waited = state.waited and state.waited + 1
	if not state.waited or state.waited <= SILENT then
		return false
	end
	state.waited = nil
	return true
end

local function is_down(stats, state)
	if stats["status"]:sub(1, 4) ~= "DOWN" then
		state.down, state.limit = 0, nil
		return false
	end
	state.down = state.down + 1
	state.limit = state.limit or HANGS[stats["check_status"]]
	return state.limit and state.down > state.limit
end

local function look(server, state)
	local stats = server:get_stats()
	local used = stats["scur"] > 0
	local checked = stats["check_status"] and core.get_info()["Stopping"] == 0
	state.unchecked = used and not checked
	local hangs = checked and is_down(stats, state) or not checked and is_silent(state)
	if used and hangs then
		server:shut_sess()
	end
end

local function guard(server, state)
	while true do
		core.msleep(LOOK_MS)
		look(server, state)
	end
end

-- For people, and for a side effect: when HAProxy logs its first line, it makes its stderr non-blocking, whether
-- anybody reads it or not. (Debug: HAProxy itself would write a line of another level a second time.)
local function greet(n)
	core.log(core.debug, "guard.lua watches " .. n .. " servers")
end

core.register_init(function()
	local n = 0
	for _, server in pairs(core.backends[BACKEND].servers) do
		local state = { down = 0 }
		n = n + 1
		core.register_task(function() guard(server, state) end)
		core.register_task(function() check(server, state) end)
	end
	core.register_task(function() greet(n) end)
end)
